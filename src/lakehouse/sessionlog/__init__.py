"""The session log: one durable row per session, in files that any runtime may write and read.

Three rooms stand on what lies here: names of files, forms of lines and manifests. Open `layout.py`
first, then the room: `writing`, `reading` or `keeping`.
"""
