"""Completion scripts that contain the words, for shells that click does not support. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Vocabulary = Mapping[str, Sequence[tuple[str, str]]]
"""For each command, and for none (""), the words that may follow, each with its purpose."""

ELVISH = """\
# Completions of snapdir for elvish: eval (snapdir autocomplete elvish | slurp)
set edit:completion:arg-completer[snapdir] = {{|@words|
    var offers = [
{offers}
    ]
    var verb = ''
    for word $words[1..-1] {{
        if (and (eq $verb '') (has-key $offers $word)) {{ set verb = $word }}
    }}
    for offer $offers[$verb] {{
        edit:complex-candidate $offer[0] &display=$offer[0]' ('$offer[1]')'
    }}
    edit:complete-filename $words[-1]
}}
"""

POWERSHELL = """\
# Completions of snapdir for PowerShell: snapdir autocomplete powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName 'snapdir' -ScriptBlock {{
    param($wordToComplete, $commandAst, $cursorPosition)
    $offers = @{{
{offers}
    }}
    $verb = ''
    foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {{
        $word = $element.ToString()
        if ($word -ne $wordToComplete -and $verb -eq '' -and $offers.ContainsKey($word)) {{ $verb = $word }}
    }}
    $offers[$verb] | Where-Object {{ $_[0].StartsWith($wordToComplete) }} | ForEach-Object {{
        [System.Management.Automation.CompletionResult]::new($_[0], $_[0], 'ParameterValue', $_[1])
    }}
}}
"""


def elvish(vocabulary: Vocabulary) -> str:
    def row(verb: str, offers: Sequence[tuple[str, str]]) -> str:
        return f"&{_quoted(verb)}=[{' '.join(f'[{_quoted(word)} {_quoted(use)}]' for word, use in offers)}]"

    return ELVISH.format(offers="\n".join(f"        {row(*offers)}" for offers in vocabulary.items()))


def powershell(vocabulary: Vocabulary) -> str:
    def row(verb: str, offers: Sequence[tuple[str, str]]) -> str:
        return (
            f"{_quoted(verb)} = @({', '.join(f'@({_quoted(word)}, {_quoted(use or word)})' for word, use in offers)})"
        )

    return POWERSHELL.format(offers="\n".join(f"        {row(*offers)}" for offers in vocabulary.items()))


def _quoted(text: str) -> str:
    """In single quotes, which both shells double inside."""
    return "'" + " ".join(text.split()).replace("'", "''") + "'"
