// Package socketio speaks Socket.IO 5 over Engine.IO 4 over one websocket: a codec, a client that holds thousands of
// mostly idle connections cheaply, and the small server that the stand-in needs.
//
// Written from the Engine.IO 4 and Socket.IO 5 protocol specifications and from docs/verity-api.md (Sockets), and tested against
// the reference packages socket.io and socket.io-client 4.8. What it leaves out on purpose: the polling transport, the
// upgrade from it, permessage-deflate, connection state recovery, dynamic namespaces, and the bytes of binary attachments,
// which are recognised and skipped.
//
// A frame on the wire is one websocket message: an Engine.IO type byte, and for a message ('4') a Socket.IO packet:
//
//	0{"sid":"…","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}
//	40/queue,{"token":"…"}          CONNECT, answered by 40/queue,{"sid":"…"} or 44/queue,{"message":"…"}
//	42/queue,["match",{…}]          EVENT; with an acknowledgement id: 42/queue,7["match",{…}]
//	43/queue,7[…]                   ACK
//	41/queue,                       DISCONNECT
//	2, 3                            ping from the server, pong from the client
package socketio
