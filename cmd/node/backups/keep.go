package backups

import (
	"sync"
	"time"

	"rookery"
	"rookery/backup/past"
)

// keptPast keeps the account that was brought back last for a while: who has seen what a
// restore would change mostly has it done next. It is for one user at a time.
type keptPast struct {
	mu    sync.Mutex
	of    moment
	past  *past.Past
	timer *time.Timer
}

// moment is an account at a time, unix nanoseconds.
type moment struct {
	account rookery.AccountID
	at      int64
}

// keepPast is for how long it is kept.
const keepPast = 2 * time.Minute

// take gives what is kept of a moment, which is the taker's then; nil where there is none.
func (k *keptPast) take(of moment) *past.Past {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.past == nil || k.of != of {
		return nil
	}
	p := k.past
	k.past = nil
	k.timer.Stop()
	return p
}

// put keeps one in the place of another.
func (k *keptPast) put(of moment, p *past.Past) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop()
	k.of, k.past = of, p
	k.timer = time.AfterFunc(keepPast, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.past == p {
			k.drop()
		}
	})
}

// close frees what is kept.
func (k *keptPast) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop()
}

func (k *keptPast) drop() {
	if k.past == nil {
		return
	}
	k.timer.Stop()
	k.past.Close() // its directory is removed at the next start where it stays
	k.past = nil
}
