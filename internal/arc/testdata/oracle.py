# The second opinion: python3-dkim verifies and seals. One JSON object on each line of stdin, one on each of stdout.
import base64, json, sys
import dkim

for line in sys.stdin:
    q = json.loads(line)
    message = base64.b64decode(q["message"])
    zone = q.get("zone") or {}

    def ask(name, timeout=5):
        return zone.get(name.decode("ascii").rstrip("."), "").encode("ascii")

    try:
        if q["do"] == "verify":
            cv, results, why = dkim.arc_verify(message, dnsfunc=ask)
            said = {"cv": cv.decode() if cv else "", "why": why,
                    "seals": [r["as-valid"] for r in results], "messages": [r["ams-valid"] for r in results]}
        else:
            out = dkim.arc_sign(message, q["selector"].encode(), q["domain"].encode(), q["key"].encode(), q["id"].encode())
            said = {"set": base64.b64encode(b"".join(out)).decode()}
    except Exception as e:
        said = {"error": repr(e)}
    print(json.dumps(said), flush=True)
