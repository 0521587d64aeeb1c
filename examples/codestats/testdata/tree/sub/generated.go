package sub

type kind int

//line made_from.y:1000
func (k kind) valid() bool {
	if k < 0 {
		return false
	} else if k > 9 {
		return false
	}
	return true
}

//line made_from.y:10
func tie() int {
	return 3
}
