// Package socketio implements Socket.IO 5 over Engine.IO 4 over a websocket: a codec, a client for thousands of mostly idle
// connections with little memory each, and a small server for the stand-in.
//
// It follows the Engine.IO 4 and Socket.IO 5 protocol specifications and docs/verity-api.md (Sockets), and is tested against
// the reference packages socket.io and socket.io-client 4.8. It deliberately omits the polling transport and the upgrade from
// it, permessage-deflate, connection state recovery, dynamic namespaces, and the bytes of binary attachments, which are
// recognised and skipped.
//
// A frame is one websocket message: an Engine.IO type byte, followed in a message ('4') by a Socket.IO packet:
//
//	0{"sid":"…","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}
//	40/queue,{"token":"…"}          CONNECT, answered by 40/queue,{"sid":"…"} or 44/queue,{"message":"…"}
//	42/queue,["match",{…}]          EVENT; with an acknowledgement id: 42/queue,7["match",{…}]
//	43/queue,7[…]                   ACK
//	41/queue,                       DISCONNECT
//	2, 3                            ping from the server, pong from the client
package socketio
