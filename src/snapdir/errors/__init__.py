"""Every error snapdir raises, in one tree.

::

    SnapdirError                      code IO_ERROR, exit 1: the root; catch this
    ├── LocalError                    a local path cannot be read or written
    │   ├── WalkFailed                entries of a tree cannot be read
    │   ├── UnsafeName                a name that a manifest cannot represent (newline, trailing CR, not UTF-8)
    │   ├── DestinationConflict       paths at the destination must not be replaced
    │   ├── NotCheckedOut             no snapshot of a directory is recorded
    │   └── NoSpace                   the filesystem (or a quota) is full
    ├── InvalidOption                 an option or variable has a bad value; exit 2
    ├── InvalidId                     not 64 hexadecimal digits, or too few               INVALID_ID
    │   ├── AmbiguousId               the digits match several snapshots
    │   └── UnknownName               neither an id nor a name in the store
    ├── InvalidStore                  a store URL that cannot be opened                   INVALID_STORE
    ├── InvalidPack                   a stream is not a complete SNAPPACK
    ├── Conflict                      two sources differ about a path                     CONFLICT
    │   ├── SideConflict              two snapshots on one side of a comparison do
    │   └── NameChanged               a name does not mean the expected snapshot
    ├── NothingSelected               no path matches the globs of a partial transfer
    ├── UnsafePath                    a manifest path that could leave the destination
    ├── PathNotFound                  a snapshot has no file at a path
    ├── InFluxError                   a file changed or vanished while read               IN_FLUX
    ├── WorkerKilled                  a process that helped this one was killed by a signal
    ├── CatalogError                  the local history cannot be read or written         CATALOG_ERROR
    ├── HashMismatchError             bytes do not hash to their name                     HASH_MISMATCH
    │   ├── CorruptObject             an object in a store
    │   └── CorruptManifest           a manifest in a store
    └── StoreError                    the store failed or sent an invalid response        STORE_ERROR
        ├── ObjectNotFound            the store has no object at this key
        │   └── IncompleteCache       the cache lacks objects of a snapshot
        ├── ManifestNotFound          no snapshot with this id
        │   └── UnknownId             no snapshot whose id starts with these digits
        ├── NothingPushed             no push is recorded in a store, so none is its latest
        ├── InvalidManifest           the stored text is not a manifest
        │   └── ManifestTooLarge      larger than allowed
        ├── InvalidTag                the object of a name holds something else
        ├── StoreMissing              the directory or bucket does not exist
        ├── StoreProgramFailed        a store program cannot be run, or failed
        ├── AccessDenied              credentials are missing, wrong or insufficient
        ├── StoreRefused              any other final refusal (status and code are attributes)
        │   └── NoConditionalWrites   concurrent changes of a name could be lost
        └── TransientStoreError       may succeed on a retry; nothing else is retried
            ├── Throttled             the store limits the rate of requests
            ├── ConnectionFailed      refused, reset, DNS, timeout, early end of a body
            └── InvalidResponse       an invalid response
    TransferFailed                    several items failed; ``exceptions`` holds one error for each
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
    NameChanged,
    NothingSelected,
    PathNotFound,
    SideConflict,
    SnapdirError,
    UnknownName,
    UnsafePath,
    WorkerKilled,
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
from snapdir.errors.secrets import HIDDEN, has_login, secrets_of, without_secrets
from snapdir.errors.several import TransferFailed, ungrouped
from snapdir.errors.store import (
    AccessDenied,
    ConnectionFailed,
    IncompleteCache,
    InvalidManifest,
    InvalidResponse,
    InvalidTag,
    ManifestNotFound,
    ManifestTooLarge,
    NoConditionalWrites,
    NothingPushed,
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
    "InvalidTag",
    "LocalError",
    "ManifestNotFound",
    "ManifestTooLarge",
    "NameChanged",
    "NoConditionalWrites",
    "NoSpace",
    "NotCheckedOut",
    "NothingPushed",
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
    "UnknownName",
    "UnsafeName",
    "UnsafePath",
    "WalkFailed",
    "WorkerKilled",
    "has_login",
    "local_error",
    "local_errors",
    "secrets_of",
    "source_error",
    "ungrouped",
    "without_secrets",
]
