# Evaluates SPF by pyspf for the test beside: a case a line on standard input, a result a line on standard output, both
# JSON. Its DNS is the zone of the case, in which aliases are resolved here, as a recursive resolver does.
import json
import socket
import sys

import spf

zone = {}


def lookup(name, qtype, strict=True, timeout=None):
    asked = name
    for _ in range(10):
        records = zone.get(name.lower(), [])
        found = [r for r in records if r["kind"] == qtype]
        alias = [r for r in records if r["kind"] == "CNAME"]
        if found:
            return [((asked, qtype), value(r)) for r in found]
        if any(r["kind"] == "TIMEOUT" for r in records):
            raise spf.TempError("DNS timeout")
        if not alias:
            return []
        name = alias[0]["value"].rstrip(".")
    raise spf.TempError("DNS too many aliases")


def value(r):
    if r["kind"] == "TXT":
        return (r["value"].encode("utf-8"),)
    if r["kind"] == "MX":
        return (r["pref"], r["value"])
    if r["kind"] == "AAAA":
        return socket.inet_pton(socket.AF_INET6, r["value"])
    return r["value"]


spf.DNSLookup = lookup
for line in sys.stdin:
    case = json.loads(line)
    zone = case["zone"]
    q = spf.query(i=case["ip"], s=case["from"], h=case["helo"], strict=True)
    q.set_default_explanation("")
    result, _, explanation = q.check()
    out = {
        "result": result,
        "explanation": explanation if result == "fail" else "",
        "problem": getattr(q, "prob", "") or "",
        "mechanism": q.mechanism or "",
    }
    print(json.dumps(out), flush=False)
