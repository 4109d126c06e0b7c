package mailbox

import (
	"rookery/storage/command"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// Owed is a row of the queue with its message.
type Owed struct {
	queue.Ref
	Header queue.Header
	Row    queue.Row
	Body   Body
	// Extract is the sealed extract.
	Extract []byte
}

// OpenItems lists the items of the queue behind an id, in the order of their ids.
func (m *Machine) OpenItems(after command.ItemID, limit int) (ids []command.ItemID, err error) {
	err = m.read(func(r state.Reader) error {
		ids, err = queue.Open(r, after, limit)
		return err
	})
	return ids, err
}

// Due lists the rows of the queue of a class that are due at a time, unix
// nanoseconds, those behind one, the oldest first.
func (m *Machine) Due(c queue.Class, now int64, after queue.Due, limit int) (rows []queue.Due, err error) {
	err = m.read(func(r state.Reader) error {
		rows, err = queue.DueBy(r, c, now, after, limit)
		return err
	})
	return rows, err
}

// Queue reads the queue at one moment.
func (m *Machine) Queue(fn func(state.Reader) error) error { return m.read(fn) }

// Owed is one row of the queue. The error is KindNotFound: it has ended.
func (m *Machine) Owed(x queue.Ref) (o Owed, err error) {
	o.Ref = x
	err = m.read(func(r state.Reader) error {
		if o.Header, o.Row, err = queue.Find(r, x); err != nil {
			return err
		}
		if o.Body, err = readBody(r, o.Header.Body); err != nil {
			return err
		}
		o.Extract, err = r.Get(bodyKey(tableExtract, o.Header.Body))
		return err
	})
	return o, err
}

// QueueEvents is what Events may hear of besides.
type QueueEvents interface {
	// Queued says that a message is owed: its rows are due at once.
	Queued(rows []queue.Due)
}

// TakesWrap implements queue.Work.
func (w *work) TakesWrap(wrapped []byte) error { return w.checkFloor(wrapped) }

// NextLine implements trace.Work.
func (w *work) NextLine() uint32 {
	w.lines++
	return w.lines - 1
}

// enqueue stores what a message owes.
func (w *work) enqueue(c *command.Deliver, id BodyID) {
	due := queue.Add(w, c.Item, c.Email, id, c.Size)
	if e, ok := w.m.events.(QueueEvents); ok {
		w.OnCommit(func() { e.Queued(due) })
	}
}

// DropBody implements queue.Work.
func (w *work) DropBody(id BodyID) { w.unrefBody(id) }
