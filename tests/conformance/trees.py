"""The trees of the checklist, by its names for them."""

from __future__ import annotations

__all__ = ["DEDUP", "FOO", "T1", "T2", "TA", "TB", "TC", "TD", "TM", "TP", "TS", "TX", "TZ"]

TB = {"a.txt": "hello", "empty": "", "sub/b.txt": "world!!"}
T1 = {"a.txt": "hello", "sub/b.txt": ("world!!", 0o600)}
T2 = {"a.txt": "hello"}
FOO = {"a.txt": "hello", "bar.txt": "", "sub/b.txt": "world!!"}
TX = {f"{name}.txt": name for name in ("alpha", "beta", "gamma", "keep")}
TM = {
    "top1.txt": "alpha",
    "top2.bin": ("bravo-bravo", 0o600),
    "dir_a/a1.txt": "charlie",
    "dir_a/a2.txt": ("delta-delta-delta", 0o640),
    "dir_a/nested/deep.txt": "echo!!",
    "dir_b/b1.txt": ("foxtrot", 0o600),
    "dir_b/b2.txt": "golf",
    "dir_b/sub/c/leaf.dat": "hotel-hotel",
}
TS = {
    "top.txt": "alpha-body",
    "sub/one.txt": "bravo-body-bravo",
    "sub/two.bin": "charlie!!!",
    "sub/deep/three.dat": "delta-delta-delta",
}
TD = {"one": "AAAA", "two": "AAAA", "three": "BBBB", "four": "BBBB"}
TZ = {**TD, "five": "CCCC", "six": "CCCC"}
TP = {
    "a.txt": "plumbing alpha",
    "sub/b.txt": ("plumbing bravo!!", 0o600),
    "sub/c.bin": "plumbing charlie payload",
}
DEDUP = {
    "dup_a.txt": "shared-content",
    "nested/dup_b.txt": "shared-content",
    "only_one.txt": "unique-one",
    "only_two.txt": "unique-two",
}
TA = {"hello.txt": "hello world\n", "nested/inner.bin": b"\x00\x01\x02\x03payload", "empty.txt": ""}
TC = {"hello.txt": "a DIFFERENT body\n", "nested/inner.bin": "other"}
