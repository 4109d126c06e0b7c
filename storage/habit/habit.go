// Package habit is how much an account sends to other systems: what it has sent in
// this hour, the most that it has sent in an hour of each of the last 30 days, and
// whether what it sends is held because it is far more than that. It owns the word
// on what an account may send.
//
// It has no clock and keeps nothing: the mail group's machine keeps a Record for
// each account that sends, and says what time it is.
package habit

import (
	"slices"

	"rookery/storage/command"
)

const (
	hour = int64(3600e9)
	day  = 24 * hour
	// days is how far back a habit goes.
	days = 30
)

// Record is the habit of one account.
type Record struct {
	// Hour counts hours since 1970, Sent the recipients in it.
	Hour int64  `cbor:"1,keyasint"`
	Sent uint32 `cbor:"2,keyasint,omitempty"`
	// Days are those on which it sent, the oldest first, at most 31.
	Days []Day `cbor:"3,keyasint,omitempty"`
	// Held says that what it sends is held.
	Held bool `cbor:"4,keyasint,omitempty"`
	// Lifted is until when nothing it sends is unusual, group time in unix
	// nanoseconds.
	Lifted int64 `cbor:"5,keyasint,omitempty"`
}

// Day is the most recipients that an account had in an hour of a day, counted
// since 1970.
type Day struct {
	Day  int64  `cbor:"1,keyasint"`
	Most uint32 `cbor:"2,keyasint"`
}

// Usual is the most that the account sent in an hour of the 30 days before now,
// this day left out.
func (r *Record) Usual(now int64) (most uint32) {
	for _, d := range r.Days {
		if today := now / day; d.Day < today && d.Day >= today-days {
			most = max(most, d.Most)
		}
	}
	return most
}

// Send counts n recipients in other systems, of whom the account has at most most
// in an hour (0: no bound). Where it has them already, it counts none and gives the
// time at which the next hour begins. More than surprise above what is usual (0:
// nothing is unusual) holds what the account sends, until Lift. What is held is no
// habit.
func (r *Record) Send(n uint32, now int64, limit command.Rate) (again int64) {
	sent := n
	if r.Hour == now/hour {
		sent += r.Sent
	}
	switch {
	case limit.Most > 0 && sent > limit.Most:
		return (now/hour + 1) * hour
	case limit.Surprise == 0:
		r.Held = false
	case now >= r.Lifted && sent > r.Usual(now)+limit.Surprise:
		r.Held = true
	}
	r.Hour, r.Sent = now/hour, sent
	if !r.Held {
		r.keep(now)
	}
	return 0
}

// keep makes this hour a part of the habit.
func (r *Record) keep(now int64) {
	today := now / day
	r.Days = slices.DeleteFunc(r.Days, func(d Day) bool { return d.Day < today-days })
	if n := len(r.Days); n > 0 && r.Days[n-1].Day >= today {
		r.Days[n-1].Most = max(r.Days[n-1].Most, r.Sent)
		return
	}
	r.Days = append(r.Days, Day{today, r.Sent})
}

// Lift lets the account send again. Nothing is unusual for it until the next day is
// over: by then what it sends is its habit.
func (r *Record) Lift(now int64) {
	r.Held, r.Lifted = false, (now/day+2)*day
}
