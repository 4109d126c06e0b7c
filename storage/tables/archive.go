package tables

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// kept are the tables that the store keeps under every machine for the archive.
// Moves, erasures and restores pass them by.
func kept() []*Table {
	return []*Table{
		{ID: state.TableVerdict, Name: "verdict on an entry",
			Owner: OfGroup, Travels: Stays, Archived: NotArchived, Restored: Never, Erased: Kept,
			Key: Exactly(state.VerdictKey), Check: state.CheckVerdict},
		{ID: state.TableArchived, Name: "last entry archived",
			Owner: OfGroup, Travels: Stays, Archived: NotArchived, Restored: Newest, Erased: Kept,
			Key: Exactly(0), Check: Length(8)},
	}
}

// Archived executes command.Archived, the same in every machine.
func (c *Change) Archived(x *command.Archived) (command.Result, error) {
	if x.End {
		Must(c.EndArchive())
		return &command.Done{}, nil
	}
	err := c.SetArchived(x.Upto)
	if err != nil && !rookery.Is(err, rookery.KindInvalid) {
		Must(err)
	}
	return &command.Done{}, err
}
