"""A whole OpenStack Swift with its S3 API in one process: s3.py FOLDER CERTIFICATE KEY.

Debian's python3-swift is the server: requests and signatures are judged by its own code. It keeps everything in FOLDER, which must be on a file
system with extended attributes, listens at a port of the system on loopback by TLS, prints that port, and ends with its standard input.
The account is test:tester with the secret testing, its bucket backups.
"""
import array
import logging
import os
import sys

import eventlet

eventlet.monkey_patch()

from eventlet import tpool, wsgi  # noqa: E402
from swift.common import utils  # noqa: E402

utils.HASH_PATH_PREFIX, utils.HASH_PATH_SUFFIX = b"gatepost", b"test"

from swift.account import server as account  # noqa: E402
from swift.common.ring import RingData  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402
from swift.container import server as container  # noqa: E402
from swift.obj import server as objects  # noqa: E402

PROXY = """
[pipeline:main]
pipeline = catch_errors s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
swift_dir = %(folder)s
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
"""


class Log(logging.StreamHandler):
    """In place of syslog: what goes wrong is said to whoever started this."""

    LOG_LOCAL0 = 16

    def __init__(self, **_):
        super().__init__(sys.stderr)
        self.setLevel(logging.WARNING)


utils.ThreadSafeSysLogHandler = Log


class Cache(dict):
    """What memcached is for: tokens and what is known of buckets."""

    def __bool__(self):
        return True

    def get(self, key, **_):
        return dict.get(self, key)

    def set(self, key, value, **_):
        self[key] = value

    def incr(self, key, delta=1, **_):
        self[key] = int(dict.get(self, key) or 0) + delta
        return self[key]

    def delete(self, key, **_):
        self.pop(key, None)


def serve(sock, app, **more):
    quiet = open(os.devnull, "w")
    eventlet.spawn(wsgi.server, sock, app, log=quiet, log_output=False, **more)


def main(folder, certificate, key):
    devices = os.path.join(folder, "devices")
    os.makedirs(os.path.join(devices, "sda", "tmp"))
    conf = {"devices": devices, "swift_dir": folder, "mount_check": "false", "log_facility": "LOG_LOCAL0", "disable_fallocate": "yes"}
    for name, app in (("account", account.AccountController), ("container", container.ContainerController), ("object", objects.ObjectController)):
        sock = eventlet.listen(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        disk = {"id": 0, "zone": 0, "region": 1, "device": "sda", "ip": "127.0.0.1", "port": port, "weight": 1.0}
        RingData([array.array("H", [0, 0])], [disk], 31).save(os.path.join(folder, name + ".ring.gz"))
        serve(sock, app(conf))
    path = os.path.join(folder, "proxy.conf")
    with open(path, "w") as f:
        f.write(PROXY % {"folder": folder})
    proxy, cache = loadapp(path), Cache()

    def whole(env, start):
        env["swift.cache"] = cache
        return proxy(env, start)

    raw = eventlet.listen(("127.0.0.1", 0))
    port = raw.getsockname()[1]
    serve(eventlet.wrap_ssl(raw, certfile=certificate, keyfile=key, server_side=True), whole, socket_timeout=60)
    print(port, flush=True)
    tpool.execute(sys.stdin.read)
    os._exit(0)


main(*sys.argv[1:])
