package jsapi

import (
	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/queue"
)

const maxUsers = 1_000_000

// queueKey is the function queueKey of the module.
func (m *Module) queueKey(body sobek.Value) string {
	if _, ok := body.(*sobek.Object); !ok {
		m.throw("queueKey takes the body of POST /queue/join as an object, got %s", show(body))
	}
	key, err := queue.Key(m.stringify(body))
	if err != nil {
		m.throw("queueKey: %s", err)
	}
	return key
}

// shardsOptions are the options of one QueueShards.
type shardsOptions struct {
	queue.ShardOptions
	mode       string
	usersPerVU int
}

// QueueShards is the class QueueShards. The shards are laid out at first use: the execution segment, which decides which of them are
// this runner's, is not known in the init context.
type QueueShards struct {
	m       *Module
	options shardsOptions
	shards  *queue.Shards
}

func (m *Module) newQueueShards(call sobek.ConstructorCall) *sobek.Object {
	o := shardsOptions{usersPerVU: 1}
	r := reader{m, "QueueShards"}
	r.read(call.Argument(0), map[string]func(string, sobek.Value){
		"city":       r.optionalText(&o.City),
		"region":     r.optionalText(&o.Region),
		"mode":       r.text(&o.mode),
		"users":      r.whole(&o.Users, 1, maxUsers),
		"usersPerVu": r.whole(&o.usersPerVU, 1, maxUsersPerVU),
		"shards":     r.whole(&o.Shards, 1, maxUsers),
		"namespace":  r.text(&o.Namespace),

		"holdSeconds":    r.number(&o.Load.HoldSeconds, 0, maxPlanSeconds),
		"thinkSeconds":   r.number(&o.Load.ThinkSeconds, 0, maxPlanSeconds),
		"maxWaitSeconds": r.number(&o.Load.MaxWaitSeconds, 0.001, maxPlanSeconds),
		"arriveSeconds":  r.number(&o.Load.ArriveSeconds, 0, maxPlanSeconds),
	})
	o.Mode = queue.Mode(o.mode)
	if o.Mode != queue.Isolated && o.Mode != queue.Shared {
		m.throw("mode of QueueShards must be %q or %q, got %q", queue.Isolated, queue.Shared, o.mode)
	}
	if o.Users == 0 {
		m.throw("QueueShards needs users, the number of users of the whole test")
	}
	s := &QueueShards{m: m, options: o}
	rt := m.vu.Runtime()
	object := rt.NewObject()
	set(object, "place", s.place)
	if err := object.DefineAccessorProperty("keys", rt.ToValue(s.keys), nil, sobek.FLAG_FALSE, sobek.FLAG_TRUE); err != nil {
		common.Throw(rt, err)
	}
	return object
}

func (s *QueueShards) keys() []string { return s.laidOut().Keys() }

func (s *QueueShards) laidOut() *queue.Shards {
	if s.shards != nil {
		return s.shards
	}
	o := s.options
	if state := s.m.vu.State(); state != nil {
		runner, users, err := k6.RunnersOf(state.Options, o.Users, o.usersPerVU)
		if err != nil {
			s.m.throw("QueueShards: %s", err)
		}
		o.Runner, o.RunnerUsers = runner, users
	}
	shards, err := s.m.root.layouts.Of(o.ShardOptions)
	if err != nil {
		s.m.throw("QueueShards: %s", err)
	}
	s.shards = shards
	return shards
}

// place is QueueShards.place.
func (s *QueueShards) place(call sobek.FunctionCall) sobek.Value {
	user := call.Argument(0)
	s.m.vuState("place")
	state := s.m.vu.State()
	shards := s.laidOut()
	number := (int(state.VUIDGlobal) - 1) * s.options.usersPerVU // #nosec G115 -- a VU's number is small
	if !common.IsNullish(user) {
		reader{s.m, "place"}.whole(&number, 0, 1<<40)("the user", user)
	}
	// On a runner, the numbers of its own users have no gaps, whatever its segment.
	own := number - int(state.VUIDGlobal-state.VUID)*s.options.usersPerVU // #nosec G115 -- likewise
	place, err := shards.Place(own, s.m.predecessors(number))
	if err != nil {
		s.m.throw("place: %s", err)
	}
	planned := &plannedPlace{m: s.m, Place: place}
	if s.options.Mode == queue.Isolated {
		planned.Shard = -1
	}
	return s.m.vu.Runtime().NewDynamicObject(planned)
}
