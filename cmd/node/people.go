package node

import (
	"time"

	"rookery/cmd/node/elected"
	"rookery/directory/replica"
	"rookery/storage/system/people"
)

// copied is the copy of one directory in this node's state, as package replica reads
// it.
type copied struct {
	people people.View
	id     string
}

// Found implements replica.State.
func (c copied) Found(index string, most int) ([]replica.Row, error) {
	entries, err := c.people.Found(c.id, index, most)
	rows := make([]replica.Row, len(entries))
	for i, e := range entries {
		rows[i] = rowOf(e)
	}
	return rows, err
}

// ByKey implements replica.State.
func (c copied) ByKey(key string) (replica.Row, bool, error) {
	e, found, err := c.people.Entry(key)
	return rowOf(e), found, err
}

func rowOf(e people.Entry) replica.Row {
	r := replica.Row{Key: e.Key, Value: e.Value, Disabled: e.Disabled}
	if e.Vanished != 0 {
		r.Vanished = time.Unix(0, e.Vanished)
	}
	return r
}

// sources are the directories in use, with what follows them.
func (n *Node) sources() (all []elected.Source, ok bool) {
	for _, d := range n.people.Opened() {
		x := elected.Source{ID: d.By.ID, Name: d.Name()}
		if n.deps.tuning.follower != nil {
			x.Follower = n.deps.tuning.follower(d.By.ID)
		} else if d.By.Copy > 0 {
			x.Follower = d.Directory
		}
		all = append(all, x)
	}
	return all, n.settings.Version() > 0
}

// freshCopy reports whether the copy of a directory is about as the directory is now.
func (n *Node) freshCopy(id string) bool {
	d, _, err := n.system.People().Directory(id)
	return err == nil && n.deps.Clock().Sub(time.Unix(0, d.Complete)) < elected.Stale
}

// completeCopy reports whether the copy of a directory once was all that it had.
func (n *Node) completeCopy(id string) bool {
	d, _, err := n.system.People().Directory(id)
	return err == nil && d.Full != 0
}
