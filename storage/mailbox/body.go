package mailbox

import (
	"encoding/binary"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/tables"
)

var bodyPart = part{
	Tables: []tables.Table{
		{ID: tableBody, Name: "body",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.Kept,
			Key: tables.Exactly(8), Check: checkBody},
		{ID: tableExtract, Name: "extract of a body", From: tableBody, Key: tables.Exactly(8), Check: checkExtract},
		{ID: tableUnpacked, Name: "body that lies in no pack", From: tableBody, Key: tables.Exactly(8), Check: checkSize},
		{ID: tablePack, Name: "pack",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Size{Min: 1, Max: command.MaxPackID}, Check: tables.Decodes[Pack]},
	},
	Handlers: handlers{
		tables.On((*work).packed),
		tables.On((*work).packDead),
		tables.On((*work).packDeleted),
		tables.On((*work).packForget),
	},
}

// addBody records a new body with its references, and when it arrived.
func (w *work) addBody(c *command.Deliver, id BodyID, refs uint64, arrived int64, pieces []LogPiece) {
	x := bodyRecord{refs: refs, Body: Body{ID: id, Size: c.Size, Layout: c.Layout, Arrived: arrived, Log: pieces}}
	for _, p := range pieces {
		x.Encoded += p.Len
	}
	w.Set(bodyKey(tableBody, id), x.encode())
	if len(c.Extract) > 0 {
		w.Set(bodyKey(tableExtract, id), c.Extract)
	}
	if len(pieces) == 0 {
		return // nothing to keep or pack
	}
	w.Set(bodyKey(tableUnpacked, id), binary.AppendUvarint(nil, uint64(x.Encoded)))
	if events := w.m.events; events != nil {
		bytes := x.Encoded
		w.OnCommit(func() { events.Unpacked(id, bytes) })
	}
}

func (w *work) bodyAt(id BodyID) *bodyRecord {
	v := w.Get(bodyKey(tableBody, id))
	if v == nil {
		return nil
	}
	x, err := decodeBody(id, v)
	must(err)
	return x
}

// unrefBody counts one reference less; with the last the body goes, and its
// packs lose its bytes.
func (w *work) unrefBody(id BodyID) {
	x := w.bodyAt(id)
	if x == nil {
		panic(damaged("body"))
	}
	if x.refs--; x.refs > 0 {
		w.Set(bodyKey(tableBody, id), x.encode())
		return
	}
	w.Delete(bodyKey(tableBody, id))
	w.Delete(bodyKey(tableExtract, id))
	if len(x.Pack) == 0 {
		w.unlog(x)
	}
	for _, p := range x.Pack {
		w.shrinkPack(p.Pack, p.Len)
	}
}

// unlog says that a body's log entries are needed no longer.
func (w *work) unlog(x *bodyRecord) {
	if len(x.Log) == 0 {
		return
	}
	w.Delete(bodyKey(tableUnpacked, x.ID))
	if first := x.Log[0].Index; first != x.ID {
		w.Delete(newKey(tableFloor).U64(uint64(first)))
	}
}

// PackState is where a pack is in its life.
type PackState uint8

// The states of a pack, in order.
const (
	PackLive PackState = iota
	PackDead
	PackDeleted
)

func (s PackState) String() string {
	return [...]string{"live", "dead", "deleted"}[min(s, PackDeleted)]
}

// Pack is a pack's record.
type Pack struct {
	ID    command.PackID `cbor:"-"`
	State PackState      `cbor:"1,keyasint,omitempty"`
	// Size is the object's; Total and Live sum its bodies, at first and now.
	Size  int64 `cbor:"2,keyasint,omitempty"`
	Total int64 `cbor:"3,keyasint,omitempty"`
	Live  int64 `cbor:"4,keyasint,omitempty"`
	// Bodies and LiveBodies count them.
	Bodies     uint32 `cbor:"5,keyasint,omitempty"`
	LiveBodies uint32 `cbor:"6,keyasint,omitempty"`
	// Created is when it was agreed on; group time, unix nanoseconds, as the
	// other two. Arrived, when its oldest body did, and Dead bound its life. A
	// body that was gone before it was agreed on does not count.
	Created int64 `cbor:"7,keyasint,omitempty"`
	Dead    int64 `cbor:"8,keyasint,omitempty"`
	Arrived int64 `cbor:"9,keyasint,omitempty"`
}

func packKey(id command.PackID) key { return newKey(tablePack).Str(string(id)) }

func (w *work) pack(id command.PackID) (*Pack, error) {
	v := w.Get(packKey(id))
	if v == nil {
		return nil, refuse(rookery.KindNotFound, "pack %.128q does not exist", id)
	}
	p := &Pack{ID: id}
	must(tables.Decode(v, p))
	return p, nil
}

func (w *work) setPack(p *Pack) { w.Set(packKey(p.ID), tables.Encode(p)) }

// shrinkPack takes a body that is gone, or lies elsewhere now, off a pack.
func (w *work) shrinkPack(id command.PackID, n int64) {
	if w.Replaying() {
		return // packs are the group's
	}
	p, err := w.pack(id)
	must(err)
	p.Live -= n
	p.LiveBodies--
	w.setPack(p)
}

// packed adds a pack and moves bodies to it.
func (w *work) packed(c *command.Packed) (command.Result, error) {
	if n := len(c.Pack); n == 0 || n > command.MaxPackID || c.Size < 0 || c.Size > maxSize {
		return nil, refuse(rookery.KindInvalid, "a pack needs a name of 1 to %d bytes and a size", command.MaxPackID)
	}
	if w.Get(packKey(c.Pack)) != nil {
		return nil, refuse(rookery.KindExists, "pack %q exists already", c.Pack)
	}
	if r := holds.RulesOf(w); r.NameLife > 0 {
		if _, ok := c.Pack.Time(); !ok {
			return nil, refuse(rookery.KindInvalid, "pack %.128q is not named by time", c.Pack)
		}
		if r.Expired(c.Pack, w.Time()) {
			return nil, refuse(rookery.KindConflict,
				"the name of pack %q has expired, and its object may be gone; pack the bodies again under a new one", c.Pack)
		}
	}
	seen := make(map[BodyID]bool, len(c.Bodies))
	for _, b := range c.Bodies {
		if b.Off < 0 || b.Len <= 0 || b.Len > c.Size || b.Off > c.Size-b.Len || seen[b.Body] {
			return nil, refuse(rookery.KindInvalid, "body %d lies outside pack %q or twice in it", b.Body, c.Pack)
		}
		seen[b.Body] = true
	}
	p := &Pack{ID: c.Pack, Size: c.Size, Bodies: uint32(len(c.Bodies)), Created: w.Time(), Arrived: w.Time()}
	for _, b := range c.Bodies {
		p.Total += b.Len
		x := w.bodyAt(b.Body)
		if x == nil {
			continue // went meanwhile
		}
		p.Arrived = min(p.Arrived, x.Arrived)
		if len(x.Pack) == 0 {
			w.unlog(x)
		}
		for _, old := range x.Pack {
			w.shrinkPack(old.Pack, old.Len)
		}
		x.Pack = []PackPiece{{c.Pack, b.Off, b.Len}}
		w.Set(bodyKey(tableBody, x.ID), x.encode())
		p.Live += b.Len
		p.LiveBodies++
	}
	w.setPack(p)
	return &command.Done{}, nil
}

func (w *work) packDead(c *command.PackDead) (command.Result, error) {
	p, err := w.pack(c.Pack)
	if err != nil {
		return nil, err
	}
	if p.LiveBodies > 0 {
		return nil, refuse(rookery.KindConflict, "pack %q still holds %d bodies", c.Pack, p.LiveBodies)
	}
	if p.State == PackLive {
		p.State, p.Dead = PackDead, w.Time()
		w.setPack(p)
	}
	return &command.Done{}, nil
}

func (w *work) packDeleted(c *command.PackDeleted) (command.Result, error) {
	p, err := w.pack(c.Pack)
	if err != nil {
		return nil, err
	}
	if p.State == PackLive {
		return nil, refuse(rookery.KindConflict, "pack %q is live", c.Pack)
	}
	if p.State == PackDead {
		why, err := holds.Keeper(w.Tx, p.life(), w.Time())
		must(err)
		if why != "" {
			return nil, refuse(rookery.KindConflict, "pack %q is kept by %s", c.Pack, why)
		}
	}
	p.State = PackDeleted
	w.setPack(p)
	return &command.Done{}, nil
}

func (w *work) packForget(c *command.PackForget) (command.Result, error) {
	p, err := w.pack(c.Pack)
	if rookery.Is(err, rookery.KindNotFound) {
		return &command.Done{}, nil
	}
	if p.State != PackDeleted {
		return nil, refuse(rookery.KindConflict, "pack %q is %s, not deleted", c.Pack, p.State)
	}
	if _, ok := c.Pack.Time(); ok {
		if r := holds.RulesOf(w); r.NameLife > 0 && !r.Expired(c.Pack, w.Time()) {
			// A late Packed of this name would find no record and be taken.
			return nil, refuse(rookery.KindConflict, "pack %q is remembered until its name expires", c.Pack)
		}
	}
	w.Delete(packKey(c.Pack))
	return &command.Done{}, nil
}
