"""Events to an MQTT broker, through paho-mqtt."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from mv_tools import ArgumentError, SourceUnavailable
from mv_tools.live.address import shown_place, split_url

from .events import Event
from .sinks import Say

__all__ = ["Mqtt", "topic_level"]

_TOPIC: Final = "moclip/events"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_CONNECT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 3.0
_POLL: Final = 0.02  # seconds
_AT_LEAST_ONCE: Final = 1
_QUEUED: Final = 1000  # messages that wait while the broker is away


class Mqtt:
    """Publishes an event as a JSON message, at least once (QoS 1); reconnects by itself.

    Args:
        url: mqtt://[USER:PASSWORD@]HOST[:PORT][/TOPIC], or mqtts:// with TLS; the topic is moclip/events by
            default, and ``{camera}`` in it is replaced by the camera's name, in which / + # and % are
            escaped (%2F, %2B, %23, %25), so that no two cameras have one topic.
        say: takes sentences on a broker that leaves and returns, and on events that it did not get.

    Raises:
        ArgumentError: the URL is damaged, or paho-mqtt is not installed.
        SourceUnavailable: the broker does not answer, or refuses the user.
    """

    def __init__(self, url: str, say: Say = lambda text: None) -> None:
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise ArgumentError("--mqtt needs paho-mqtt: pip install 'moclip-lite[mqtt]'") from error
        try:
            parts = split_url(url)
            host, port = parts.hostname or "", parts.port
        except ArgumentError:
            raise
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        if parts.scheme not in _PORTS or not host:
            raise ArgumentError("--mqtt: write mqtt://HOST[:PORT]/TOPIC, or mqtts:// with TLS")
        if parts.query or parts.fragment:
            raise ArgumentError("--mqtt: the URL goes on behind the topic; write ? as %3F, and # as %23")
        self._topic = unquote(parts.path.strip("/")) or _TOPIC
        if any(wildcard in self._topic for wildcard in "+#"):
            raise ArgumentError("--mqtt: the topic has a wildcard (+ or #), which no message can have")
        port = port or _PORTS[parts.scheme]
        self.name = shown_place(parts) if "@" in parts.path else f"{host}:{port}"
        self._client: Any = paho.Client(CallbackAPIVersion.VERSION2)
        self._queue_full = paho.MQTT_ERR_QUEUE_SIZE
        self._client.max_queued_messages_set(_QUEUED)
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.connect_timeout = _CONNECT_SECONDS
        try:
            self._client.connect(host, port)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "no answer"
            raise SourceUnavailable(f"the MQTT broker {self.name}: {reason.lower()}") from None
        self._say, self._waiting, self._dropped = say, 0, 0
        self._answered, self._refusal, self._away, self._closing = threading.Event(), "", False, False
        self._lock = threading.Lock()
        self._client.on_connect, self._client.on_disconnect = self._connected, self._disconnected
        self._client.on_publish = self._given
        self._client.loop_start()
        if not self._answered.wait(_CONNECT_SECONDS) or self._refusal:
            self._end()
            raise SourceUnavailable(f"the MQTT broker {self.name}: {self._refusal or 'no answer'}")

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        before, self._refusal = self._refusal, str(reason).lower() if reason.is_failure else ""
        if self._away and self._refusal not in ("", before):
            self._say(f"the MQTT broker {self.name} refuses the connection ({self._refusal}); events wait")
        if self._away and not self._refusal:
            self._away = False
            self._say(f"the MQTT broker {self.name} is back")
        self._answered.set()

    def _disconnected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._answered.is_set() and not self._away and not self._closing:
            self._away = True
            self._say(f"the MQTT broker {self.name} is away ({str(reason).lower()}); events wait for it")

    def _given(self, client: Any, data: Any, message: Any, reason: Any, properties: Any) -> None:
        with self._lock:
            self._waiting -= 1

    def put(self, event: Event) -> None:
        """Queue a message for the client's own thread."""
        topic = self._topic.replace("{camera}", topic_level(event.camera))
        with self._lock:
            self._waiting += 1
        published = self._client.publish(topic, json.dumps(event.to_dict()), qos=_AT_LEAST_ONCE)
        if published.rc == self._queue_full:
            with self._lock:
                self._waiting -= 1
            self._dropped += 1
            if self._dropped == 1:
                self._say(f"the MQTT broker {self.name} is away for long: events for it are dropped")

    def close(self) -> None:
        """Give what waits, for three seconds at most, and disconnect."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        while self._waiting and time.monotonic() < deadline:
            time.sleep(_POLL)
        if missed := self._waiting + self._dropped:
            self._say(f"the MQTT broker {self.name} did not get {missed} events")
        self._end()

    def _end(self) -> None:
        self._closing = True
        self._client.disconnect()
        self._client.loop_stop()


def topic_level(name: str) -> str:
    """A name as one level of a topic, of its own."""
    return "".join(quote(c, safe="") if c in "+#/%" else c for c in name)
