package jsapi

import "sync"

// operations counts what is under way for one user. Unlike with a sync.WaitGroup, an operation may begin while somebody
// waits: scripts need not await what they start.
type operations struct {
	mu   sync.Mutex
	n    int
	idle sync.Cond

	// As the script sees them, on the event loop only: how many have not settled, and the name of the last that began.
	pending int
	last    string
}

func (o *operations) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
}

func (o *operations) done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n--
	if o.n == 0 && o.idle.L != nil {
		o.idle.Broadcast()
	}
}

// wait returns when nothing is under way.
func (o *operations) wait() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle.L = &o.mu
	for o.n > 0 {
		o.idle.Wait()
	}
}
