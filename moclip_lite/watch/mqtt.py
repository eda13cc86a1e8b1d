"""Events to an MQTT broker, through paho-mqtt."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from mv_tools import ArgumentError, SourceUnavailable

from .events import Event

__all__ = ["Mqtt"]

_TOPIC: Final = "moclip/events"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_CONNECT_SECONDS: Final = 5.0
_AT_LEAST_ONCE: Final = 1
_QUEUED: Final = 1000  # messages that wait while the broker is away


class Mqtt:
    """Publishes an event as a JSON message, at least once (QoS 1); reconnects by itself.

    Args:
        url: mqtt://[USER:PASSWORD@]HOST[:PORT][/TOPIC], or mqtts:// with TLS; the topic is moclip/events by default,
            and ``{camera}`` in it is replaced by the camera's name.

    Raises:
        ArgumentError: the URL is damaged, or paho-mqtt is not installed.
        SourceUnavailable: the broker does not answer.
    """

    def __init__(self, url: str) -> None:
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise ArgumentError("--mqtt needs paho-mqtt: pip install 'moclip-lite[mqtt]'") from error
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        if parts.scheme not in _PORTS or not host:
            raise ArgumentError("--mqtt: write mqtt://HOST[:PORT]/TOPIC, or mqtts:// with TLS")
        self._topic = unquote(parts.path.strip("/")) or _TOPIC
        if any(wildcard in self._topic for wildcard in "+#"):
            raise ArgumentError(
                f"--mqtt: the topic {self._topic!r} has a wildcard, which no message can have"
            )
        self.name = f"{host}:{port or _PORTS[parts.scheme]}"
        self._client: Any = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_queued_messages_set(_QUEUED)
        if parts.username is not None:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.connect_timeout = _CONNECT_SECONDS
        try:
            self._client.connect(host, port or _PORTS[parts.scheme])
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "no answer"
            raise SourceUnavailable(f"the MQTT broker {self.name}: {reason.lower()}") from None
        self._client.loop_start()

    def put(self, event: Event) -> None:
        """Queue a message for the client's own thread."""
        camera = "".join("_" if c in "+#/" else c for c in event.camera)
        topic = self._topic.replace("{camera}", camera)
        self._client.publish(topic, json.dumps(event.to_dict()), qos=_AT_LEAST_ONCE)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
