# Evaluates DMARC by libopendmarc for the test beside: a case a line on standard input, a result a line on standard output,
# both JSON. Its DNS is the port of 127.0.0.1 in the first argument, its public suffix list that of Debian.
import ctypes
import json
import socket
import struct
import sys

MAXPATHLEN, MAXNS = 4096, 3
lib = ctypes.CDLL("libopendmarc.so.2")
lib.opendmarc_policy_connect_init.restype = ctypes.c_void_p
lib.opendmarc_policy_status_to_str.restype = ctypes.c_char_p


class Library(ctypes.Structure):
    _fields_ = [("tld_type", ctypes.c_int), ("tld_source_file", ctypes.c_char * MAXPATHLEN), ("nscount", ctypes.c_int),
                ("nsaddr_list", (ctypes.c_char * 16) * MAXNS)]


def begin(port):
    init = Library()
    init.tld_type = 1
    init.tld_source_file = b"/usr/share/publicsuffix/public_suffix_list.dat"
    init.nscount = 1
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1")
    init.nsaddr_list[0].value = address
    ctypes.memmove(ctypes.byref(init.nsaddr_list[0]), address, len(address))
    if lib.opendmarc_policy_library_init(ctypes.byref(init)) != 0:
        sys.exit("libopendmarc: does not begin")


def evaluate(case):
    ctx = ctypes.c_void_p(lib.opendmarc_policy_connect_init(b"192.0.2.1", 4))
    lib.opendmarc_policy_store_from_domain(ctx, case["author"].encode())
    if case["spf"]:
        lib.opendmarc_policy_store_spf(ctx, case["spf"].encode(), 1, 1, b"")
    for domain in case["dkim"] or []:
        lib.opendmarc_policy_store_dkim(ctx, domain.encode(), b"s", 1, b"")
    found = lib.opendmarc_policy_query_dmarc(ctx, case["author"].encode())
    out = {"found": found, "status": -1, "where": "", "spf": False, "dkim": False, "tag": ""}
    if found == 0:
        out["status"] = lib.opendmarc_get_policy_to_enforce(ctx)
        spf, dkim, buf = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
        lib.opendmarc_policy_fetch_alignment(ctx, ctypes.byref(dkim), ctypes.byref(spf))
        out["spf"], out["dkim"] = spf.value == 4, dkim.value == 4
        lib.opendmarc_policy_fetch_utilized_domain(ctx, buf, 256)
        out["where"] = buf.value.decode()
        out["tag"] = {19: "p", 20: "sp"}.get(lib.opendmarc_get_policy_token_used(ctx), "")
    lib.opendmarc_policy_connect_shutdown(ctx)
    return out


begin(int(sys.argv[1]))
for line in sys.stdin:
    print(json.dumps(evaluate(json.loads(line))))
