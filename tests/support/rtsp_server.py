"""An RTSP server on 127.0.0.1 for Debian's python3: rtsp_server.py PORT PATH=FILE.mp4 ...

GStreamer's server (gir1.2-gst-rtsp-server-1.0) sends each file paced, one sender for all clients of a path. Prints
"ready" once it listens. A user and password may be required with --auth USER:PASSWORD.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
arguments = sys.argv[1:]
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service(arguments.pop(0))
protected = arguments.pop(0)[len("--auth=") :] if arguments[0].startswith("--auth=") else ""
if protected:
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*protected.split(":")), token)
    server.set_auth(auth)
for argument in arguments:
    path, _, file = argument.partition("=")
    codec = "h265" if file.endswith(".hevc.mp4") else "h264"
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(
        f'( filesrc location="{file}" ! qtdemux ! {codec}parse config-interval=-1 ! rtp{codec}pay name=pay0 pt=96 )'
    )
    factory.set_shared(True)
    if protected:
        factory.add_role_from_structure(
            Gst.Structure.from_string(
                "user, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
            )[0]
        )
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
sys.stdout.write("ready\n")
sys.stdout.flush()
GLib.MainLoop().run()
