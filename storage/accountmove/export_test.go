package accountmove

// Small makes a Mover send a few rows at a time.
func (m *Mover) Small() { m.chunk = 500 }
