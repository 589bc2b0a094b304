"""x"""
from __future__ import annotations
import json
from typing import Any
from serverless_patterns.sandbox.driver import Driver
from ..shop import Shop, as_json
def run(stack: Any, report: Any) -> None:
    drive, shop = Driver(stack, report), Shop("job")
    root = stack["ApiUrl"].rstrip("/")
    [o] = shop.orders(1)
    for path in ("orders", "quotes"):
        a = stack.http.post(f"{root}/{path}", as_json(o), {"Content-Type": "application/json", "Idempotency-Key": "k1"})
        print(a.status, dict(a.headers), a.body)
        import time
        for _ in range(4):
            g = stack.http.get(f"{root}/{path}/k1")
            print(g.status, dict(g.headers), g.body); time.sleep(1.5)
    g = stack.http.get(f"{root}/orders/k2")
    print(g.status, g.body)
    g = stack.http.post(f"{root}/orders/k1", b"", {"If-None-Match": '"done"'}, method="GET")
    print(g.status, g.body)
