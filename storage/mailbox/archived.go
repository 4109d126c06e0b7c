package mailbox

import (
	"rookery/storage/command"
	"rookery/storage/tables"
)

var archivePart = part{Handlers: handlers{
	tables.On((*work).archived),
}}

func (w *work) archived(c *command.Archived) (command.Result, error) { return w.Change.Archived(c) }
