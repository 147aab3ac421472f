package users

import "sync"

// Operations counts the operations of one user that are under way. Unlike with a sync.WaitGroup, an operation may begin during
// wait, since scripts need not await their operations.
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
