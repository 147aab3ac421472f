// Package sessions is the life of one user's socket: connect, match, session start, hold, end (docs/verity-api.md, Sockets).
//
// A [Line] is the socket of one user, with both namespaces on it. [Line.Match] and [Line.Hold] wait on behalf of a caller;
// whether anybody waits or not, the line hears every event and checks it against the rules of this package (see [Rule]).
// One [Watch] per process knows all lines, so that it can check pairs and count sessions.
//
// A connected user costs the socketio.Client and a Line: no goroutine but the client's reader, and timers only while there
// is a session to judge. All that is judged is guarded by the one mutex of the Watch: matches, starts and ends are rare
// beside queue:status, which is counted without it and dropped undecoded.
package sessions
