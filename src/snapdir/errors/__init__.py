"""Every error snapdir raises, in one tree.

::

    SnapdirError                      code IO_ERROR, exit 1: the root; catch this
    ├── LocalError                    a local path cannot be read or written
    │   ├── WalkFailed                entries of a tree cannot be read; up to 20 are named
    │   ├── UnsafeName                a file name no manifest line can carry (newline, trailing CR, not UTF-8)
    │   ├── DestinationConflict       what stands at the destination must not be replaced
    │   ├── NotCheckedOut             the cache knows of no checkout into a directory
    │   └── NoSpace                   the filesystem (or a quota) is full
    ├── InvalidOption                 an option or variable has a bad value; exit 2
    ├── InvalidId                     not 64 hex digits, nor enough of them               INVALID_ID
    │   └── AmbiguousId               the first digits of several snapshots
    ├── InvalidStore                  not a store URL that can be opened                  INVALID_STORE
    ├── InvalidPack                   a stream that is no complete SNAPPACK
    ├── Conflict                      two sources claim one path                          CONFLICT
    │   └── SideConflict              two snapshots of one side of a comparison do
    ├── NothingSelected               no path of a snapshot fits the globs of a partial transfer
    ├── UnsafePath                    a manifest path that could leave the destination
    ├── PathNotFound                  a snapshot has no file at a path
    ├── InFluxError                   a file changed or vanished while read               IN_FLUX
    ├── CatalogError                  the local history cannot be read or written         CATALOG_ERROR
    ├── HashMismatchError             bytes do not hash to their name                     HASH_MISMATCH
    │   ├── CorruptObject             an object in a store
    │   └── CorruptManifest           a manifest in a store
    └── StoreError                    the store failed or answered nonsense               STORE_ERROR
        ├── ObjectNotFound            no bytes at this key
        │   └── IncompleteCache       a cached snapshot lacks objects
        ├── ManifestNotFound          no snapshot with this id
        │   └── UnknownId             no snapshot whose id starts like this
        ├── InvalidManifest           stored text that does not parse
        │   └── ManifestTooLarge      longer than it may be
        ├── StoreMissing              the directory or bucket does not exist
        ├── StoreProgramFailed        a program that is a store cannot be run, or failed
        ├── AccessDenied              credentials are missing, wrong or not allowed
        ├── StoreRefused              any other final refusal (status and code are attributes)
        └── TransientStoreError       may succeed when asked again: the only family ever retried
            ├── Throttled             the store asks to slow down
            ├── ConnectionFailed      refused, reset, DNS, timeouts, early end of a body
            └── InvalidResponse       a 200 whose content makes no sense
    TransferFailed                    several things failed; ``.exceptions`` holds one SnapdirError per item
"""

from snapdir.errors.base import (
    MAX_NAMED_OFFENDERS,
    AmbiguousId,
    CatalogError,
    Conflict,
    CorruptManifest,
    CorruptObject,
    HashMismatchError,
    InFluxError,
    InvalidId,
    InvalidOption,
    InvalidPack,
    InvalidStore,
    NothingSelected,
    PathNotFound,
    SideConflict,
    SnapdirError,
    UnsafePath,
)
from snapdir.errors.local import (
    DestinationConflict,
    LocalError,
    NoSpace,
    NotCheckedOut,
    UnsafeName,
    WalkFailed,
    local_error,
    local_errors,
    source_error,
)
from snapdir.errors.secrets import HIDDEN, secrets_of, without_secrets
from snapdir.errors.several import TransferFailed, ungrouped
from snapdir.errors.store import (
    AccessDenied,
    ConnectionFailed,
    IncompleteCache,
    InvalidManifest,
    InvalidResponse,
    ManifestNotFound,
    ManifestTooLarge,
    ObjectNotFound,
    StoreError,
    StoreMissing,
    StoreProgramFailed,
    StoreRefused,
    Throttled,
    TransientStoreError,
    UnknownId,
)

__all__ = [
    "HIDDEN",
    "MAX_NAMED_OFFENDERS",
    "AccessDenied",
    "AmbiguousId",
    "CatalogError",
    "Conflict",
    "ConnectionFailed",
    "CorruptManifest",
    "CorruptObject",
    "DestinationConflict",
    "HashMismatchError",
    "InFluxError",
    "IncompleteCache",
    "InvalidId",
    "InvalidManifest",
    "InvalidOption",
    "InvalidPack",
    "InvalidResponse",
    "InvalidStore",
    "LocalError",
    "ManifestNotFound",
    "ManifestTooLarge",
    "NoSpace",
    "NotCheckedOut",
    "NothingSelected",
    "ObjectNotFound",
    "PathNotFound",
    "SideConflict",
    "SnapdirError",
    "StoreError",
    "StoreMissing",
    "StoreProgramFailed",
    "StoreRefused",
    "Throttled",
    "TransferFailed",
    "TransientStoreError",
    "UnknownId",
    "UnsafeName",
    "UnsafePath",
    "WalkFailed",
    "local_error",
    "local_errors",
    "secrets_of",
    "source_error",
    "ungrouped",
    "without_secrets",
]
