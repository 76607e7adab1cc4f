"use strict";
const table = document.querySelector("#snapshots");
const search = document.querySelector("#search");
const rows = [...table.tBodies[0].rows];
const texts = rows.map((row) => `${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase());

function show() {
  const words = search.value.toLowerCase().split(/\s+/);
  let count = 0;
  rows.forEach((row, number) => {
    row.hidden = !words.every((word) => texts[number].includes(word));
    count += !row.hidden;
  });
  document.querySelector("#shown").textContent = `${count} of ${rows.length} shown`;
}

function sort(header) {
  const ascending = header.getAttribute("aria-sort") === "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.cells[header.cellIndex].dataset.value;
  const compare = header.dataset.text === undefined
    ? (one, other) => value(one) - value(other)
    : (one, other) => value(one).localeCompare(value(other));
  const sorted = [...rows].sort(compare);
  table.tBodies[0].append(...(ascending ? sorted : sorted.reverse()));
}

search.addEventListener("input", show);
for (const header of table.tHead.rows[0].cells) header.addEventListener("click", () => sort(header));
show();
