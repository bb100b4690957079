"""A process that sends orders to a paper broker until it is killed, one line per acknowledged order."""

import sys
from pathlib import Path

from paper_world import CLOSED, OPENED, SENT, TUESDAY, HandMarket, mandate, order

from marketbot_resources.broker.paper import PaperBroker


def main(path: str, name: str, count: int, report: bool) -> None:
    market = HandMarket()
    market.trade("A", TUESDAY, 10.0)
    broker = PaperBroker(Path(path), mandate(), lambda since, until: market)
    for number in range(count):
        answer = broker.submit(order(quantity="1", number=f"{name}-{number}"), SENT)
        print(answer.client_order_id, flush=True)
    if report:
        broker.report(OPENED, CLOSED)
        print("reported", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "report")
