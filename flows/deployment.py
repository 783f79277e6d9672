"""Hand runs to a Prefect deployment, with plain HTTP."""

from contextlib import suppress
from typing import Any

import httpx

from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.config import BeamlineConfig, load_beamline
from ainerd_bluesky.errors import CatalogError, ConfigError
from ainerd_bluesky.profiles import beamline_path, find_profiles

__all__ = ["DeploymentRunner"]

_TIMEOUT = httpx.Timeout(10.0, connect=2.0)
_NOT_FOUND = 404
_OK = 200


class DeploymentRunner:
    """Ask a Prefect server for one flow run per job.

    The same job asked for twice is the same flow run.

    Parameters
    ----------
    config : BeamlineConfig
        Names the server and the deployment.
    reference : str
        What the configuration was read from; the flow gets the beamline's name
        instead, where the profiles say the very same of it.
    transport : httpx.BaseTransport, optional
        How to reach the server, if not by the network.
    """

    def __init__(
        self,
        config: BeamlineConfig,
        reference: str,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._flow = config.flow
        is_known = _is_profile(config)
        self._beamline = config.name if is_known else str(beamline_path(reference))
        self._client = httpx.Client(
            base_url=config.flow.prefect_api_url, timeout=_TIMEOUT, transport=transport
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def prepare(self) -> None:
        """See that the server answers; raise `CatalogError` if it does not."""
        try:
            self._client.get("/health")
        except httpx.TransportError as error:
            raise CatalogError(
                f"no Prefect server answers at {self._flow.prefect_api_url} ({error}); "
                "start it with `prefect server start`"
            ) from error

    def run(self, job: Job) -> dict[str, Any]:
        """Create the flow run of a job.

        Parameters
        ----------
        job : Job
            A finished run.

        Returns
        -------
        dict
            ``flow_run_id``, and whether the flow run ``was_there`` before.
        """
        scan_id = job.payload.get("scan_id")
        n_requeued = sum(line["event"] == "requeued" for line in job.log)
        answer = self._client.post(
            f"/deployments/{self._deployment_id()}/create_flow_run",
            json={
                "state": {"type": "SCHEDULED"},
                "parameters": {"run_uid": job.run_uid, "beamline": self._beamline},
                "name": f"scan-{scan_id}-{job.run_uid[:8]}",
                "tags": [f"uid:{job.run_uid}"],
                "idempotency_key": f"{job.run_uid}:{n_requeued}",
            },
        )
        answer.raise_for_status()
        return {
            "flow_run_id": answer.json()["id"],
            "was_there": answer.status_code == _OK,
        }

    def _deployment_id(self) -> str:
        answer = self._client.get(f"/deployments/name/{self._flow.deployment}")
        if answer.status_code == _NOT_FOUND:
            raise ConfigError(
                f"no deployment {self._flow.deployment!r} at "
                f"{self._flow.prefect_api_url}; make it with "
                "`prefect --no-prompt deploy --prefect-file profiles/prefect.yaml`"
            )
        answer.raise_for_status()
        return str(answer.json()["id"])


def _is_profile(config: BeamlineConfig) -> bool:
    """Return whether the profiles hold this configuration under its own name."""
    named = find_profiles() / "beamlines" / f"{config.name}.toml"
    with suppress(ConfigError):
        return load_beamline(named) == config
    return False
