package delivery

import "time"

// Hurry makes Run look often and take over at once; marks go after forget.
func (d *Deliverer) Hurry(forget time.Duration) {
	d.times = times{poll: 5 * time.Millisecond, again: 5 * time.Millisecond, orphan: 10 * time.Millisecond, fan: 10 * time.Second,
		forget: forget, sweep: 5 * time.Millisecond}
}

// Sluggish keeps Run from looking by itself and from taking over.
func (d *Deliverer) Sluggish() {
	d.times = times{poll: time.Hour, again: time.Hour, orphan: time.Hour, fan: 10 * time.Second, forget: time.Hour, sweep: time.Hour}
}

// Marks counts the finished items whose marks are known.
func (d *Deliverer) Marks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.marks)
}

// Spooled is how many bytes of spools are taken.
func (d *Deliverer) Spooled() int64 { return d.spools.Used() }

// WithoutBcc is withoutBcc.
var WithoutBcc = withoutBcc

// IsSevenBit is isSevenBit.
var IsSevenBit = isSevenBit
