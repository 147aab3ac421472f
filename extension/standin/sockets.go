package standin

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/socketio"
)

// gaps is the number of different gaps between match and session:start, a gapStep apart. The two longest are left out, as timers
// fire slightly late.
const (
	gapStep = time.Millisecond
	gaps    = int((contract.StartGapMost-contract.StartGapLeast)/gapStep) - 1
)

// busyPause is how long a disconnect waits before it retries, while another operation of the user is under way.
const busyPause = 5 * time.Millisecond

var errNoToken = errors.New("not an access token")

// sockets are the users' sockets. As an observer they send the users' events, each to the sockets that are open at that moment.
type sockets struct {
	server   *socketio.Server
	vacate   func(userID string) // takes the user out of the queue
	duration time.Duration       // of a session
	drop     time.Duration       // 0: never
	muting   *time.Timer         // nil: never

	mu                               sync.Mutex // guards the fields below; is locked after a stripe and the matcher, never before them
	closed                           bool
	listeners                        map[string]*listener              // by user id; users that wait or have a socket
	crowds                           map[string]map[*listener]struct{} // queue key → waiting users
	pairs                            int                               // matched so far
	last                             session                           // the last matched one
	crossed                          map[string]session                // session id → the session that its UserB is told instead
	waits                            []time.Duration                   // of each matched user
	opened                           map[string]int64                  // namespace → sockets
	sent                             map[string]int64                  // event → frames
	loseMatch, loseStart, crossPairs share
	separateMatcher                  bool
}

// listener is a user that waits or has a socket.
type listener struct {
	queueKey string // where the user waits; "": nowhere
	joinedAt time.Time
	sockets  map[string][]*socketio.Socket // by namespace
}

func newSockets(o *Options, owner func(token string) *user, vacate func(userID string)) *sockets {
	d := &o.Defects
	s := &sockets{
		vacate: vacate, duration: o.Session, drop: d.DropSocketsAfter,
		listeners: make(map[string]*listener),
		crowds:    make(map[string]map[*listener]struct{}),
		crossed:   make(map[string]session),
		opened:    make(map[string]int64),
		sent:      make(map[string]int64),
		loseMatch: share{rate: d.LoseMatch}, loseStart: share{rate: d.LoseStart}, crossPairs: share{rate: d.CrossPairs},
		separateMatcher: d.SeparateMatcher,
	}
	s.server = socketio.NewServer(socketio.ServerOptions{
		Namespaces: []string{contract.QueueNamespace, contract.VideoNamespace},
		Authenticate: func(_, token string) (string, error) {
			if u := owner(token); u != nil {
				return u.id, nil
			}
			return "", errNoToken
		},
		OnConnect:    s.connected,
		OnDisconnect: s.disconnected,
		PingInterval: o.PingInterval,
		PingTimeout:  o.PingTimeout,
	})
	if d.MuteAfter > 0 {
		s.muting = time.AfterFunc(d.MuteAfter, s.whileOpen(func() { s.server.Mute(true) }))
	}
	return s
}

// whileOpen returns a function that calls f with the sockets locked, unless they are closed.
func (s *sockets) whileOpen(f func()) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	}
}

// close ends all connections. Timers that fire later do nothing.
func (s *sockets) close() {
	if s.muting != nil {
		s.muting.Stop()
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.server.Close()
}

func (s *sockets) connected(socket *socketio.Socket) {
	if s.drop > 0 {
		time.AfterFunc(s.drop, socket.Drop)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listener(socket.User())
	l.sockets[socket.Namespace()] = append(l.sockets[socket.Namespace()], socket)
	s.opened[socket.Namespace()]++
}

// disconnected removes a user from the queue when any of its /queue sockets closes.
func (s *sockets) disconnected(socket *socketio.Socket) {
	if s.forget(socket) && socket.Namespace() == contract.QueueNamespace {
		s.vacate(socket.User())
	}
}

// forget removes a socket, and reports whether its user waits in the queue.
func (s *sockets) forget(socket *socketio.Socket) (waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listener(socket.User())
	open := l.sockets[socket.Namespace()]
	l.sockets[socket.Namespace()] = slices.DeleteFunc(open, func(other *socketio.Socket) bool { return other == socket })
	s.release(socket.User(), l)
	return l.queueKey != ""
}

// listener returns the listener of a user, and makes one if there is none.
func (s *sockets) listener(userID string) *listener {
	l := s.listeners[userID]
	if l == nil {
		l = &listener{sockets: make(map[string][]*socketio.Socket, 2)}
		s.listeners[userID] = l
	}
	return l
}

// release removes a user that neither waits nor has a socket.
func (s *sockets) release(userID string, l *listener) {
	if l.queueKey == "" && len(l.sockets[contract.QueueNamespace]) == 0 && len(l.sockets[contract.VideoNamespace]) == 0 {
		delete(s.listeners, userID)
	}
}

func (s *sockets) joined(userID, queueKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listener(userID)
	l.queueKey, l.joinedAt = queueKey, time.Now()
	if s.crowds[queueKey] == nil {
		s.crowds[queueKey] = make(map[*listener]struct{})
	}
	s.crowds[queueKey][l] = struct{}{}
	s.tellCrowd(queueKey)
}

func (s *sockets) left(userID, queueKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.depart(userID)
	s.tellCrowd(queueKey)
}

// depart ends the user's wait, and returns when it began.
func (s *sockets) depart(userID string) (joinedAt time.Time) {
	l := s.listeners[userID]
	if l == nil || l.queueKey == "" {
		return time.Time{} // another process put the user into Redis
	}
	delete(s.crowds[l.queueKey], l)
	if len(s.crowds[l.queueKey]) == 0 {
		delete(s.crowds, l.queueKey)
	}
	l.queueKey = ""
	s.release(userID, l)
	return l.joinedAt
}

// tellCrowd sends queue:status to all users of a queue. Like Verity it does not coalesce these events.
func (s *sockets) tellCrowd(queueKey string) {
	crowd := s.crowds[queueKey]
	if len(crowd) == 0 {
		return
	}
	frame := newFrame(contract.QueueNamespace, contract.EventStatus, statusEvent{len(crowd)})
	for l := range crowd {
		s.send(l, contract.QueueNamespace, contract.EventStatus, frame)
	}
}

// side is a session as it is told to one of its users.
type side struct {
	session   session
	userID    string
	partnerID string
	uid       uint32    // in the video channel
	joinedAt  time.Time // when the user began to wait; zero: unknown
}

// sides returns the sides of UserA and of UserB.
func (s *sockets) sides(of session) [2]side {
	b := side{session: of, userID: of.UserB, partnerID: of.UserA, uid: 2}
	if wrong, ok := s.crossed[of.ID]; ok {
		b.session.ID, b.session.Channel, b.partnerID = wrong.ID, wrong.Channel, wrong.UserA
	}
	return [2]side{{session: of, userID: of.UserA, partnerID: of.UserB, uid: 1}, b}
}

// matched sends match and session:start to both users, one at once and the other a few milliseconds later.
func (s *sockets) matched(of session, queueKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cross(of)
	sides := s.sides(of)
	for i := range sides {
		sides[i].joinedAt = s.depart(sides[i].userID)
	}
	if s.separateMatcher {
		return
	}
	loseMatch := s.loseMatch.next()
	first := func() { s.tellMatch(sides, queueKey, loseMatch) }
	if s.loseStart.next() || of.refused {
		first()
		return
	}
	second := func() { s.tellStart(sides) }
	gap, startFirst := s.gap()
	if startFirst {
		first, second = second, first
	}
	first()
	time.AfterFunc(gap, s.whileOpen(second))
}

// cross makes the events to the session's UserB name the previous session, for the share CrossPairs of the sessions.
func (s *sockets) cross(of session) {
	before := s.last
	s.last = of
	if !s.crossPairs.next() {
		return
	}
	if before.ID == "" {
		before = session{ID: newID(), UserA: newID()}
		before.Channel = channelOf(before.ID)
	}
	s.crossed[of.ID] = before
}

// gap returns the time between match and start of the next pair, and their order. Within 30 pairs, each gap occurs in both
// orders.
func (s *sockets) gap() (gap time.Duration, startFirst bool) {
	n := s.pairs
	s.pairs++
	return contract.StartGapLeast + time.Duration(n*7%gaps)*gapStep, n%2 == 1
}

func (s *sockets) tellMatch(sides [2]side, queueKey string, loseOne bool) {
	now := time.Now()
	for i := range sides {
		to := &sides[i]
		if !to.joinedAt.IsZero() {
			s.waits = append(s.waits, now.Sub(to.joinedAt))
		}
		if loseOne && i == 1 {
			continue
		}
		s.tell(to.userID, contract.QueueNamespace, contract.EventMatch, matchEvent{
			to.session.ID, contract.AnonymousID(to.session.ID, to.partnerID), queueKey, now.UnixMilli(),
		})
	}
}

func (s *sockets) tellStart(sides [2]side) {
	for i := range sides {
		to := &sides[i]
		s.tell(to.userID, contract.VideoNamespace, contract.EventStart, startEvent{
			SessionID: to.session.ID, ChannelName: to.session.Channel,
			StartAt: to.session.StartAt, EndAt: to.session.EndAt, ExpiresAt: to.session.EndAt,
			DurationSeconds: s.duration.Seconds(),
			RTC:             rtcAccess{videoToken("rtc", to), to.uid},
			RTM:             rtmAccess{videoToken("rtm", to), to.userID},
		})
	}
}

func (s *sockets) ended(of session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.separateMatcher {
		return
	}
	reason := contract.EndTimeout // the stand-in never sends contract.EndEnded
	if of.refused {
		reason = contract.EndTokenError
	}
	for _, to := range s.sides(of) {
		s.tell(to.userID, contract.VideoNamespace, contract.EventEnd, endEvent{to.session.ID, reason, time.Now().UnixMilli()})
	}
	delete(s.crossed, of.ID)
}

func (s *sockets) decided(of session, o contract.ChoiceOutcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	event, payload := contract.EventNonMutual, any(nonMutualEvent{of.ID, "pass"})
	if o == contract.OutcomeMutual {
		event, payload = contract.EventMutual, mutualEvent{of.ID, newID()}
	}
	for _, to := range s.sides(of) {
		s.tell(to.userID, contract.VideoNamespace, event, payload)
	}
}

// tell sends an event to a user's open sockets.
func (s *sockets) tell(userID, namespace, event string, payload any) {
	if l := s.listeners[userID]; l != nil && len(l.sockets[namespace]) > 0 {
		s.send(l, namespace, event, newFrame(namespace, event, payload))
	}
}

func (s *sockets) send(l *listener, namespace, event string, frame *socketio.Frame) {
	open := l.sockets[namespace]
	for _, socket := range open {
		socket.Send(frame)
	}
	s.sent[event] += int64(len(open))
}

// stats returns the sockets' part of Stats.
func (s *sockets) stats() (Sockets, Matches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waits := slices.Sorted(slices.Values(s.waits))
	return Sockets{
			Queue: s.opened[contract.QueueNamespace], Video: s.opened[contract.VideoNamespace], Events: maps.Clone(s.sent),
		}, Matches{
			Count: int64(len(waits)), P50: percentile(waits, 50), P95: percentile(waits, 95),
		}
}

// percentile returns the nearest-rank percentile of sorted times, in ms; 0 without times.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return float64(sorted[rank-1]) / float64(time.Millisecond)
}

// The payloads of the events, with their keys in the service's order. Times are in ms since the epoch.
type (
	statusEvent struct {
		UsersSearching int `json:"usersSearching"`
	}
	matchEvent struct {
		SessionID          string `json:"sessionId"`
		PartnerAnonymousID string `json:"partnerAnonymousId"`
		QueueKey           string `json:"queueKey"`
		MatchedAt          int64  `json:"matchedAt"`
	}
	startEvent struct {
		SessionID       string    `json:"sessionId"`
		ChannelName     string    `json:"channelName"`
		StartAt         int64     `json:"startAt"`
		EndAt           int64     `json:"endAt"`
		ExpiresAt       int64     `json:"expiresAt"` // of the tokens
		DurationSeconds float64   `json:"durationSeconds"`
		RTC             rtcAccess `json:"rtc"`
		RTM             rtmAccess `json:"rtm"`
	}
	rtcAccess struct {
		Token string `json:"token"`
		UID   uint32 `json:"uid"`
	}
	rtmAccess struct {
		Token  string `json:"token"`
		UserID string `json:"userId"`
	}
	endEvent struct {
		SessionID string `json:"sessionId"`
		Reason    string `json:"reason"`
		EndedAt   int64  `json:"endedAt"`
	}
	mutualEvent struct {
		SessionID string `json:"sessionId"`
		MatchID   string `json:"matchId"`
	}
	nonMutualEvent struct {
		SessionID string `json:"sessionId"`
		Outcome   string `json:"outcome"`
	}
)

func newFrame(namespace, event string, payload any) *socketio.Frame {
	frame, err := socketio.NewFrame(namespace, event, payload)
	if err != nil {
		panic(err) // as in encodeJSON
	}
	return frame
}

// videoToken returns a token that opens nothing: the stand-in has no video.
func videoToken(kind string, to *side) string { return "standin-" + kind + "-" + to.session.ID }

// vacate removes a user whose /queue socket closed from the queue, once the user's other operations are done. If the stand-in
// closes, the account stays as it is.
func (s *Server) vacate(userID string) {
	u := s.accounts.find(userID)
	err := error(errBusy)
	for errors.Is(err, errBusy) {
		if s.ctx.Err() != nil {
			return
		}
		if err = s.queues.vacate(s.ctx, u); errors.Is(err, errBusy) {
			s.pause(busyPause)
		}
	}
	if err != nil && s.ctx.Err() == nil {
		s.options.Log.Warn("a disconnect could not leave the queue", "error", err)
	}
}
