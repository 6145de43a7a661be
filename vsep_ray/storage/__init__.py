"""Files lie anywhere: at local paths, ``s3://`` and ``gs://`` URIs (`vsep_ray.storage.uris`)."""

from vsep_ray.storage.files import (
    delete,
    delete_folder,
    download,
    fill,
    publish,
    read_bytes,
    read_local,
    temporary_root,
    upload,
    write_bytes,
    write_local,
)
from vsep_ray.storage.latest import FINISHED, finished_now, newest_first
from vsep_ray.storage.listing import (
    REMOTE,
    exists,
    is_directory,
    list_files,
    list_folder,
    open_filesystem,
    size,
    stamps,
)
from vsep_ray.storage.uris import (
    absolute,
    is_leftover,
    is_remote,
    join,
    local_path,
    parent,
    printable,
    relative,
    suffix,
)

__all__ = [
    "FINISHED", "REMOTE", "absolute", "delete", "delete_folder", "download", "exists", "fill", "finished_now",
    "is_directory", "is_leftover", "is_remote", "join", "list_files", "list_folder", "local_path",
    "newest_first", "open_filesystem", "parent", "printable", "publish", "read_bytes", "read_local",
    "relative", "size", "stamps", "suffix", "temporary_root", "upload", "write_bytes", "write_local",
]  # fmt: skip
