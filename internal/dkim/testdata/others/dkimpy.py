# Verifies messages with python3-dkim, for cross_test.go. Reads lines of JSON: first {"keys": {name: text}}, then
# one {"name", "data" in base64, "now" in seconds} a message; writes for each a line: what it says of each signature, from the top.
import base64
import json
import sys
import time

import dkim

head = json.loads(sys.stdin.readline())
keys = {name.encode(): text.encode() for name, text in head["keys"].items()}

def lookup(name, timeout=5):
    return keys.get(name.rstrip(b".").lower())


for line in sys.stdin:
    message = json.loads(line)
    time.time = lambda: message["now"]
    out = []
    data = base64.b64decode(message["data"])
    try:
        signatures = sum(1 for name, _ in dkim.DKIM(data).headers if name.lower() == b"dkim-signature")
    except Exception as e:
        signatures, out = 0, ["error: %s" % e]
    for i in range(signatures):
        try:
            out.append("pass" if dkim.DKIM(data).verify(idx=i, dnsfunc=lookup) else "fail")
        except Exception as e:
            out.append("error: %s" % e)
    print(json.dumps({"name": message["name"], "results": out}), flush=True)
