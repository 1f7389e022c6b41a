# Asks until the driver is ready, for a minute, and shows its last answer.
import sys
import time
import urllib.error
import urllib.request

deadline_s = time.monotonic() + 60
while True:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
            told, ready = answer.read().decode(), True
    except urllib.error.HTTPError as error:
        told, ready = error.read().decode(), False
    except OSError as error:
        told, ready = f"no answer: {error}", False
    if ready or time.monotonic() > deadline_s:
        break
    time.sleep(2)
print("ready" if ready else f"not ready: {told.strip()}")
sys.exit(not ready)
