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

// The gaps between match and session:start are so many, a gapStep apart: two less than fit, for timers fire a little late.
const (
	gapStep = time.Millisecond
	gaps    = int((contract.StartGapMost-contract.StartGapLeast)/gapStep) - 1
)

// busyPause is how long a disconnect waits for another operation of the user before it tries again.
const busyPause = 5 * time.Millisecond

var errNoToken = errors.New("not an access token")

// sockets are the users' sockets. As an observer they tell the users what happens to them; an event goes to those
// sockets that are open at that moment.
type sockets struct {
	server   *socketio.Server
	vacate   func(userID string) // takes the user out of the queue
	duration time.Duration       // of a session
	drop     time.Duration       // 0 for never
	muting   *time.Timer         // nil for never

	mu                               sync.Mutex // of all below; may be taken with a stripe or the matcher locked, and no such lock after it
	closed                           bool
	listeners                        map[string]*listener              // by user id; those who wait or have a socket
	crowds                           map[string]map[*listener]struct{} // queue key → who waits there
	pairs                            int                               // matched so far
	last                             session                           // matched last
	crossed                          map[string]session                // session id → what its UserB takes for it
	waits                            []time.Duration                   // of each user who was matched
	opened                           map[string]int64                  // namespace → sockets
	sent                             map[string]int64                  // event → frames
	loseMatch, loseStart, crossPairs share
	separateMatcher                  bool
}

// listener is a user who waits or has a socket.
type listener struct {
	queueKey string // where the user waits; empty for nowhere
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

// whileOpen makes f something to do later with the sockets locked, unless they are closed by then.
func (s *sockets) whileOpen(f func()) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	}
}

// close ends all connections. Timers that fire later find it closed.
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

// disconnected takes a user out of the queue when any /queue socket of theirs closes.
func (s *sockets) disconnected(socket *socketio.Socket) {
	if s.forget(socket) && socket.Namespace() == contract.QueueNamespace {
		s.vacate(socket.User())
	}
}

// forget reports whether the socket's user waits in the queue.
func (s *sockets) forget(socket *socketio.Socket) (waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listener(socket.User())
	open := l.sockets[socket.Namespace()]
	l.sockets[socket.Namespace()] = slices.DeleteFunc(open, func(other *socketio.Socket) bool { return other == socket })
	s.release(socket.User(), l)
	return l.queueKey != ""
}

// listener finds the user, or makes one.
func (s *sockets) listener(userID string) *listener {
	l := s.listeners[userID]
	if l == nil {
		l = &listener{sockets: make(map[string][]*socketio.Socket, 2)}
		s.listeners[userID] = l
	}
	return l
}

// release forgets a user who neither waits nor has a socket.
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

// depart notes that the user waits no more, and returns since when the user did.
func (s *sockets) depart(userID string) (joinedAt time.Time) {
	l := s.listeners[userID]
	if l == nil || l.queueKey == "" {
		return time.Time{} // put into Redis by another hand
	}
	delete(s.crowds[l.queueKey], l)
	if len(s.crowds[l.queueKey]) == 0 {
		delete(s.crowds, l.queueKey)
	}
	l.queueKey = ""
	s.release(userID, l)
	return l.joinedAt
}

// tellCrowd tells everybody in the queue how many they are. Nothing is coalesced: Verity coalesces nothing either.
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

// side is what one user of a session takes for it.
type side struct {
	session   session
	userID    string
	partnerID string
	uid       uint32    // in the video channel
	joinedAt  time.Time // when the user began to wait, if that is known
}

// sides are those of UserA and of UserB.
func (s *sockets) sides(of session) [2]side {
	b := side{session: of, userID: of.UserB, partnerID: of.UserA, uid: 2}
	if wrong, ok := s.crossed[of.ID]; ok {
		b.session.ID, b.session.Channel, b.partnerID = wrong.ID, wrong.Channel, wrong.UserA
	}
	return [2]side{{session: of, userID: of.UserA, partnerID: of.UserB, uid: 1}, b}
}

// matched tells both users of the match and of the start: one at once, the other a few milliseconds later.
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

// cross makes the session's UserB take the one before for it, when its turn has come.
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

// gap is the time between match and start of the next pair, and their order. In 30 pairs each gap comes in both orders.
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
	reason := contract.EndTimeout // nothing in the stand-in brings contract.EndEnded about
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

// tell sends an event to a user's sockets, if there are any.
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

// stats are the sockets' part of the account.
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

// percentile is the nearest rank of what is sorted, in ms; 0 of nothing.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return float64(sorted[rank-1]) / float64(time.Millisecond)
}

// The payloads, with their keys in the service's order. Times are ms since the epoch.
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

// videoToken opens nothing: there is no video here.
func videoToken(kind string, to *side) string { return "standin-" + kind + "-" + to.session.ID }

// vacate takes a user whose /queue socket closed out of the queue, as soon as the user's other operations are done. When
// it is the stand-in that closes, the account stays as it was.
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
