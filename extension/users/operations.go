package users

import "sync"

// Operations counts what is under way for one user. Unlike with a sync.WaitGroup, an operation may begin while wait is
// called: scripts need not await what they start.
type Operations struct {
	mu   sync.Mutex
	n    int
	idle sync.Cond
}

func (o *Operations) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
}

func (o *Operations) done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n--
	if o.n == 0 && o.idle.L != nil {
		o.idle.Broadcast()
	}
}

// wait returns when nothing is under way.
func (o *Operations) wait() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle.L = &o.mu
	for o.n > 0 {
		o.idle.Wait()
	}
}
