// Package sessions is the life of one user's socket: connect, match, session start, hold, end (docs/verity-api.md, Sockets).
//
// A [Socket] is the socket of one user, with both namespaces on it. [Socket.Match] and [Socket.Hold] wait on behalf of a caller;
// whether anybody waits or not, the socket hears every event and checks it against the rules of this package (see [Rule]).
// One [Tracker] per process knows all sockets, so that it can check pairs and count sessions.
//
// A connected user costs the socketio.Client and a Socket: no goroutine but the client's reader, and timers only while there
// is a session to judge. All that is judged is guarded by the one mutex of the Tracker: matches, starts and ends are rare
// beside queue:status, which is counted without it and dropped undecoded.
package sessions
