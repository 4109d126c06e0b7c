package mailbox

import (
	"slices"

	"rookery"
)

// hot keeps the records of accounts and mailboxes that commands touched last,
// so that a delivery does not read them again. It mirrors what was written
// and belongs to the goroutine that applies. Records in it are never changed,
// only replaced.
type hot struct {
	accounts map[rookery.AccountID]*hotAccount
	boxes    int
}

type hotAccount struct {
	account account
	boxes   map[rookery.MailboxID]*box
}

// Bounds of hot: a few megabytes a group.
const (
	maxHotAccounts = 4096
	maxHotBoxes    = 16384
)

func (h *hot) account(id rookery.AccountID) *account {
	if a := h.accounts[id]; a != nil {
		return &a.account
	}
	return nil
}

func (h *hot) box(a rookery.AccountID, id rookery.MailboxID) *box {
	if a := h.accounts[a]; a != nil {
		return a.boxes[id]
	}
	return nil
}

// keep takes over what a command leaves of an account.
func (h *hot) keep(a *openAccount) {
	if h.accounts == nil {
		h.accounts = make(map[rookery.AccountID]*hotAccount)
	}
	k := h.accounts[a.ID]
	if k == nil {
		h.evict()
		k = &hotAccount{boxes: make(map[rookery.MailboxID]*box, 1)}
		h.accounts[a.ID] = k
	}
	k.account = a.account
	for _, x := range a.order {
		_, had := k.boxes[x.ID]
		switch {
		case x.removed && had:
			delete(k.boxes, x.ID)
			h.boxes--
		case x.removed:
		default:
			b := x.box
			// The next command that adds a keyword must not write into ours.
			b.Keywords = slices.Clip(b.Keywords)
			k.boxes[x.ID] = &b
			if !had {
				h.boxes++
			}
		}
	}
}

// evict makes room for one more account.
func (h *hot) evict() {
	for id := range h.accounts {
		if len(h.accounts) < maxHotAccounts && h.boxes < maxHotBoxes {
			return
		}
		h.forget(id)
	}
}

func (h *hot) forget(id rookery.AccountID) {
	if a := h.accounts[id]; a != nil {
		h.boxes -= len(a.boxes)
		delete(h.accounts, id)
	}
}

func (h *hot) reset() { *h = hot{} }
