"""Drives Prefect's server: takes flow runs through Scheduled, Pending, Running and Completed.

Every change is one request through Prefect's own client, awaited before the next. Nothing is run:
what is measured is how fast the server records the life of a run. The flow itself is made once.
"""

import asyncio

from measuring import arguments, now, report
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import FlowRunCreate
from prefect.states import Completed, Pending, Running, Scheduled, to_state_create


async def life(client, flow_id):
    """Takes one run through its states; a state that is not accepted ends the measurement."""
    wanted = FlowRunCreate(flow_id=flow_id, state=to_state_create(Scheduled()))
    made = await client.request(
        "POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True)
    )
    run = made.json()["id"]
    for state in (Pending(), Running(), Completed()):
        answer = await client.set_flow_run_state(run, state)
        if answer.status.value != "ACCEPT":
            raise SystemExit(f"Prefect answered {answer.status.value} to {state.name}")


async def drive(client, flow_id, in_flight, seconds):
    """Keeps lives in flight; gives how long each took, and the whole."""
    took, first = [], now()

    async def lane():
        while now() - first < seconds:
            begun = now()
            await life(client, flow_id)
            took.append(now() - begun)

    await asyncio.gather(*(lane() for _ in range(in_flight)))
    return took, now() - first


async def main():
    wanted = arguments()
    async with get_client() as client:
        flow_id = await client.create_flow_from_name("life")
        await drive(client, flow_id, 4, wanted.warm_up)
        for in_flight in wanted.in_flight:
            took, elapsed = await drive(client, flow_id, in_flight, wanted.seconds)
            report("prefect", in_flight, took, elapsed)


if __name__ == "__main__":
    asyncio.run(main())
