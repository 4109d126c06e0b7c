package node

import (
	"cmp"
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/body"
	"rookery/storage/dictionary"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Bounds of the sampling of mail. With dictionary.MaxSample they bound what it
// keeps in memory; sampleGap is the pause after each message.
const (
	sampleAccounts = 500
	sampleEach     = 200
	sampleMost     = dictionary.MaxSamples * 5 / 4 // a fifth measures
	sampleGap      = time.Millisecond
	sampleFailures = 20 // in a row
)

// sampleMail reads the beginnings of the newest messages of accounts chosen by
// chance, among those whose group has a replica here.
func (n *Node) sampleMail(ctx context.Context) ([]dictionary.Sample, error) {
	places, err := n.sampleAccounts()
	if err != nil || len(places) == 0 {
		return nil, err
	}
	each := min(max(sampleMost/len(places), 10), sampleEach)
	var samples []dictionary.Sample
	failed := 0
	for _, p := range places {
		a, err := n.accounts.Open(ctx, p.Account)
		if err != nil {
			continue // it was erased, or moved away
		}
		for _, e := range newestOf(a, each) {
			s, err := sampleOf(ctx, a, e)
			switch {
			case err == nil && len(s.Text) > 0:
				failed = 0
				samples = append(samples, s)
			case err != nil:
				if failed++; failed >= sampleFailures || ctx.Err() != nil {
					return nil, err
				}
			}
			if len(samples) >= sampleMost {
				return samples, nil
			}
			select {
			case <-time.After(sampleGap):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	return samples, nil
}

// sampleAccounts chooses accounts by chance, each as likely as any other.
func (n *Node) sampleAccounts() (chosen []system.Place, err error) {
	seen := 0
	for after := (rookery.AccountID{}); ; {
		page, err := n.groups.system.Accounts(after, 1000)
		if err != nil || len(page) == 0 {
			return chosen, err
		}
		for _, p := range page {
			after = p.Account
			if n.groups.machine(p.Group) == nil {
				continue
			}
			if seen++; len(chosen) < sampleAccounts {
				chosen = append(chosen, p)
			} else if i := rand.IntN(seen); i < sampleAccounts {
				chosen[i] = p
			}
		}
	}
}

// newestOf are the newest messages of an account, at most so many.
func newestOf(a *account.Account, most int) (emails []mailbox.Email) {
	v, err := a.View()
	if err != nil {
		return nil
	}
	defer v.Close()
	boxes, err := v.Mailboxes()
	if err != nil {
		return nil
	}
	var rows []mailbox.Row
	for _, b := range boxes {
		uids, err := v.UIDs(b.ID)
		if err != nil || uids.Len() == 0 {
			continue
		}
		from := rookery.UID(1)
		if last := uids.Last(); int(last) > most {
			from = last - rookery.UID(most) + 1
		}
		if err := v.Rows(b.ID, from, uids.Last(), func(r mailbox.Row) bool { rows = append(rows, r); return true }); err != nil {
			continue
		}
	}
	slices.SortFunc(rows, func(x, y mailbox.Row) int { return cmp.Compare(y.SaveDate, x.SaveDate) })
	seen := map[rookery.EmailID]bool{}
	for _, r := range rows {
		if len(emails) >= most {
			break
		}
		if e, err := v.Email(r.Email); err == nil && !seen[r.Email] {
			seen[r.Email] = true
			emails = append(emails, e)
		}
	}
	return emails
}

func sampleOf(ctx context.Context, a *account.Account, e mailbox.Email) (s dictionary.Sample, err error) {
	x, err := a.Extract(ctx, e)
	if err != nil {
		return s, err
	}
	r, err := a.Body(ctx, nil, e)
	if rookery.Is(err, rookery.KindNotFound) {
		return s, nil // it was expunged meanwhile
	}
	if err != nil {
		return s, err
	}
	defer r.Close()
	text, err := r.ReadSection(ctx, body.Section{Len: dictionary.MaxSample})
	return dictionary.Sample{Account: a.ID(), Talk: dictionary.Talk(x), Text: text}, err
}

func accountsOf(samples []dictionary.Sample) int {
	seen := map[rookery.AccountID]bool{}
	for _, s := range samples {
		seen[s.Account] = true
	}
	return len(seen)
}

func talkNumber(talk string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(talk))
	return h.Sum32() >> 3
}
