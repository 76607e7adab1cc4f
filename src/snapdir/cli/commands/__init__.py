"""The commands: which there are, and the module of each, whose function has the command's name."""

from __future__ import annotations

COMMANDS = {
    "manifest": "manifest",
    "id": "manifest",
    "stage": "push",
    "push": "push",
    "fetch": "pull",
    "pull": "pull",
    "checkout": "pull",
    "verify": "verify",
    "verify-cache": "verify",
    "flush-cache": "verify",
    "locations": "history",
    "ancestors": "lineage",
    "revisions": "history",
    "defaults": "defaults",
    "sync": "sync",
    "diff": "diff",
    "version": "help",
    "autocomplete": "help",
    "help": "help",
    "descendants": "lineage",
    "bench": "bench",
    "log": "log",
    "report": "report",
    "size": "size",
    "ls": "ls",
    "cat": "cat",
    "status": "status",
    "tag": "tag",
}
"""The reference's commands in its order, then the others."""

GROUPS = {
    "Every day": ("push", "pull", "verify", "sync", "tag"),
    "Look": ("ls", "cat", "diff", "size", "status", "id", "manifest"),
    "History": ("log", "report", "ancestors", "descendants", "revisions", "locations"),
    "The local cache": ("stage", "fetch", "checkout", "verify-cache", "flush-cache"),
    "The program": ("bench", "defaults", "autocomplete", "help", "version"),
}
"""The same commands as the help and the README show them: by purpose."""

HIDDEN = {
    "completions": "help",
    "man": "help",
    "objects-needed": "packs",
    "receive-pack": "packs",
    "send-pack": "packs",
}
"""Commands that scripts use and the help does not list."""
