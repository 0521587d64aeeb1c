package store

import "fmt"

// Check says where the accounts do not agree: what each object counts for, and who has it.
func (s *Store) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	refs, size := map[uint64]int{}, 0
	for c := range s.clients {
		for id, n := range c.has {
			if n < 1 || s.objects[id] == nil {
				return fmt.Errorf("a client has %d of object %d", n, id)
			}
			refs[id]++
		}
		for call, p := range c.calls {
			if p.call != call || p.c != c {
				return fmt.Errorf("call %d is %d", call, p.call)
			}
		}
	}
	for name, o := range s.names {
		if o.name != name {
			return fmt.Errorf("%q is %q", name, o.name)
		}
		refs[o.id]++
	}
	for id, o := range s.objects {
		size += overhead
		for in, n := range o.contains {
			refs[in] += n
			if s.objects[in].level <= o.level {
				return fmt.Errorf("object %d, at level %d, is in %d, at %d", in, s.objects[in].level, id, o.level)
			}
		}
		inside := map[uint64]int{}
		count := func(v value) {
			size += v.size()
			for _, id := range v.refs {
				inside[id]++
			}
		}
		switch b := o.body.(type) {
		case *dict:
			size += b.keySize(count)
		case *set:
			size += b.keySize(count)
		case *elements:
			for _, c := range b.all {
				count(c.v)
			}
		case *single:
			count(b.v)
		case *cond:
			inside[b.lock.id]++
		case *queue:
			for e := b.all.Front(); e != nil; e = e.Next() {
				count(e.Value.(value))
			}
			for e := b.putters.Front(); e != nil; e = e.Next() {
				count(e.Value.(*pending).value)
			}
		}
		if fmt.Sprint(inside) != fmt.Sprint(o.contains) && len(inside)+len(o.contains) > 0 {
			return fmt.Errorf("%v are in object %d, which should be %v", inside, id, o.contains)
		}
	}
	for id, o := range s.objects {
		if o.refs != refs[id] {
			return fmt.Errorf("object %d has %d references, and there are %d", id, o.refs, refs[id])
		}
	}
	if size != s.bytes {
		return fmt.Errorf("%d bytes, and %d were counted", size, s.bytes)
	}
	return nil
}

func (d *entries) keySize(count func(v value)) (size int) {
	for key, e := range d.at {
		size += len(key) + overhead
		count(e.v)
	}
	return size
}
