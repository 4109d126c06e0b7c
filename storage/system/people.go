package system

import "rookery/storage/system/people"

// PeopleEvents is what Events may hear of besides.
type PeopleEvents interface {
	// People says what of the copies of directories has changed; All without a
	// Directory is everything.
	People(people.Touched)
}

// PeopleChanged implements people.Work.
func (w *work) PeopleChanged(t people.Touched) { w.OnCommit(func() { w.m.peopleChanged(t) }) }

func (m *Machine) peopleChanged(t people.Touched) {
	if e, ok := m.events.(PeopleEvents); ok {
		e.People(t)
	}
}

// People are the copies of directories.
func (m *Machine) People() people.View { return people.View{Read: m.read} }
