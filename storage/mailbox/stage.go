package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

var stagePart = part{
	Tables: []tables.Table{
		{ID: tableStage, Name: "open stage",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Size{Min: 4 + 1 + 16, Max: 4 + 64 + 16}, Check: tables.Decodes[stage]},
		{ID: tableFloor, Name: "first entry of a staged body",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Exactly(8), Check: tables.Length(0)},
		{ID: tableChunk, Name: "staged chunk",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Size{Min: 4 + 1 + 20, Max: 4 + 64 + 20}, Check: checkPiece},
		{ID: tableNode, Name: "node with stages",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Size{Min: 4 + 1, Max: 4 + 64}, Check: tables.Decodes[nodeStages]},
	},
	Handlers: handlers{
		tables.On((*work).stage),
		tables.On((*work).abandon),
		tables.On((*work).forgetNode),
	},
}

// Staged chunks wait in the log for the Deliver that makes them a body. A
// node holds at most MaxStages open stages and MaxStaged bytes in a group;
// the first Stage of a newer boot epoch drops what older ones left. What a
// node does not carry any more is abandoned by who leads the group, who asks
// the node; what a removed one left goes with it (ForgetNode).

func checkStage(s command.StageID) error {
	if len(s.Node) == 0 || len(s.Node) > 64 {
		return refuse(rookery.KindInvalid, "the stage's node has a name of %d bytes, want 1 to 64", len(s.Node))
	}
	return nil
}

func (w *work) node(n rookery.NodeID) (rec nodeStages) {
	if v := w.Get(nodeKey(tableNode, n)); v != nil {
		must(tables.Decode(v, &rec))
	}
	return rec
}

func (w *work) setNode(n rookery.NodeID, rec nodeStages) {
	if rec.Stages == 0 {
		// The epoch may go with it: chunks of an older one are fenced by the
		// envelope, and a Deliver needs its stage.
		w.Delete(nodeKey(tableNode, n))
		return
	}
	w.Set(nodeKey(tableNode, n), tables.Encode(&rec))
}

func (w *work) openStage(s command.StageID) (rec stage, ok bool) {
	v := w.Get(stageKey(tableStage, s))
	if v == nil {
		return rec, false
	}
	must(tables.Decode(v, &rec))
	return rec, true
}

func (w *work) stage(c *command.Stage) (command.Result, error) {
	if err := checkStage(c.Stage); err != nil {
		return nil, err
	}
	n := int64(len(c.Payload))
	if n == 0 || n > command.MaxChunk {
		return nil, refuse(rookery.KindInvalid, "a staged chunk of %d bytes, want 1 to %d", n, command.MaxChunk)
	}
	node := w.node(c.Stage.Node)
	if node.Epoch > c.Stage.Epoch {
		return nil, refuse(rookery.KindConflict, "node %s has started again since epoch %d", c.Stage.Node, c.Stage.Epoch)
	}
	newer := node.Epoch < c.Stage.Epoch
	if newer {
		node = nodeStages{Epoch: c.Stage.Epoch}
	}
	rec, open := w.openStage(c.Stage)
	switch {
	case rec.Parts != c.Part:
		return nil, refuse(rookery.KindConflict, "part %d of a stage with %d parts; it may have been abandoned", c.Part, rec.Parts)
	case !open && node.Stages >= MaxStages:
		return nil, refuse(rookery.KindLimit, "node %s has %d messages staged, at most that many", c.Stage.Node, node.Stages)
	case node.Bytes+n > MaxStaged:
		return nil, refuse(rookery.KindLimit, "node %s has %d bytes staged, at most %d", c.Stage.Node, node.Bytes, int64(MaxStaged))
	}
	if newer {
		w.dropOlder(c.Stage.Node, c.Stage.Epoch)
	}
	if !open {
		node.Stages++
		rec.First = w.Index()
		w.Set(newKey(tableFloor).U64(uint64(rec.First)), nil)
	}
	rec.Parts++
	rec.Bytes += n
	node.Bytes += n
	w.Set(stageKey(tableStage, c.Stage), tables.Encode(&rec))
	w.Set(stageKey(tableChunk, c.Stage).U32(c.Part), w.payload.append(nil))
	w.setNode(c.Stage.Node, node)
	return &command.Done{}, nil
}

func (w *work) abandon(c *command.Abandon) (command.Result, error) {
	if err := checkStage(c.Stage); err != nil {
		return nil, err
	}
	if c.Epoch {
		w.dropOlder(c.Stage.Node, c.Stage.Epoch)
	} else {
		w.dropStage(c.Stage)
	}
	return &command.Done{}, nil
}

// forgetNode drops what a removed node has staged, and all that it may send.
func (w *work) forgetNode(c *command.ForgetNode) (command.Result, error) {
	if err := checkStage(command.StageID{Node: c.Node}); err != nil {
		return nil, err
	}
	w.dropStages(c.Node, nodeKey(tableStage, c.Node).End())
	must(w.Forget(c.Node))
	return &command.Done{}, nil
}

// Forgot reports whether the group has forgotten a node.
func (m *Machine) Forgot(n rookery.NodeID) (bool, error) { return m.group.Forgotten(n) }

// dropOlder drops the stages of a node's epochs before epoch.
func (w *work) dropOlder(n rookery.NodeID, epoch uint64) {
	w.dropStages(n, nodeKey(tableStage, n).U64(epoch))
}

// dropStages drops a node's stages whose keys are below to.
func (w *work) dropStages(n rookery.NodeID, to []byte) {
	var old []command.StageID
	from := nodeKey(tableStage, n)
	w.Between(from, to, func(k, _ []byte) bool {
		at := len(from)
		old = append(old, command.StageID{Node: n, Epoch: tables.U64At(k, at), N: tables.U64At(k, at+8)})
		return true
	})
	for _, s := range old {
		w.dropStage(s)
	}
}

// dropStage forgets a stage and its chunks, should it be open.
func (w *work) dropStage(s command.StageID) { w.takeStage(s, false) }

// takeStage closes a stage. Where a body takes the chunks over, the log
// stays needed from the first on.
func (w *work) takeStage(s command.StageID, kept bool) {
	rec, open := w.openStage(s)
	if !open {
		return
	}
	w.Delete(stageKey(tableStage, s))
	for part := range rec.Parts {
		w.Delete(stageKey(tableChunk, s).U32(part))
	}
	if !kept {
		w.Delete(newKey(tableFloor).U64(uint64(rec.First)))
	}
	node := w.node(s.Node)
	node.Stages--
	node.Bytes -= rec.Bytes
	w.setNode(s.Node, node)
}

// pieces lists where the body of a Deliver lies. The error is KindConflict
// where its stage is absent, abandoned or of another length.
func (w *work) pieces(c *command.Deliver) ([]LogPiece, error) {
	if c.Staged == nil {
		if w.payload.Len == 0 {
			return nil, nil
		}
		return []LogPiece{w.payload}, nil
	}
	if err := checkStage(c.Staged.Stage); err != nil {
		return nil, err
	}
	rec, open := w.openStage(c.Staged.Stage)
	if !open || rec.Parts != c.Staged.Parts {
		return nil, refuse(rookery.KindConflict, "the message's chunks are not staged (any more): %d of %d", rec.Parts, c.Staged.Parts)
	}
	pieces := make([]LogPiece, 0, rec.Parts)
	w.Scan(stageKey(tableChunk, c.Staged.Stage), func(_, v []byte) bool {
		r := reader{b: v}
		pieces = append(pieces, r.piece())
		return true
	})
	if uint32(len(pieces)) != rec.Parts {
		panic(damaged("staged chunks"))
	}
	return pieces, nil
}
