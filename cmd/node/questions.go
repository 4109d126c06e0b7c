package node

import (
	"context"
	"errors"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// askWait bounds another node's answer to a small question.
const askWait = replicas.AskWait

// questions are those that nodes without a replica of a group ask.
type questions struct {
	facts *replicas.Question[rookery.AccountID, account.Facts]
	items *replicas.Question[peers.ItemsAfter, []command.ItemID]
}

// openQuestions answers them from now on, but facts, which are asked earlier.
func (n *Node) openQuestions() {
	q, g := &n.questions, n.groups
	q.items = replicas.NewQuestion(g, peers.OpenItems, replicas.AskBarrierWait, n.itemsHere)
}

// factsHere are an account's facts. Only after a barrier is an account said not
// to exist: the one who asks may have just made it through the leader.
func (n *Node) factsHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, who rookery.AccountID) (f account.Facts, err error) {
	v, err := m.View(who)
	if rookery.Is(err, rookery.KindNotFound) {
		if err := n.groups.Barrier(ctx, id); err != nil {
			return f, err
		}
		v, err = m.View(who)
	}
	if err != nil {
		return f, err
	}
	defer v.Close()
	return account.FactsOf(v.Account()), nil
}

// openItems is delivery's question for a page of a group's open items.
func (n *Node) openItems(ctx context.Context, id rookery.GroupID, after command.ItemID, limit int) ([]command.ItemID, error) {
	return n.questions.items.Ask(ctx, id, peers.ItemsAfter{After: after, Limit: limit})
}

// maxItems bounds a page of items.
const maxItems = 1000

// itemsHere is a page of a group's open items.
func (n *Node) itemsHere(ctx context.Context, _ *mailbox.Machine, id rookery.GroupID, q peers.ItemsAfter) ([]command.ItemID, error) {
	if q.Limit < 1 || q.Limit > maxItems {
		return nil, rookery.E("list items", rookery.KindInvalid, errors.New("malformed question"))
	}
	return n.deliver.ItemsHere(ctx, id, q.After, q.Limit)
}
