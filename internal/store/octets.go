package store

// octets are those of one column, in memory that the next row is read into. sql.RawBytes would do it without the copy, but a row read
// into them keeps its rows locked until the next call of Next, and whoever asks for Rows.Err before, or for another answer of the same
// transaction, waits for ever if the context ends in that moment.
type octets []byte

// Scan implements sql.Scanner. They are nil for NULL only; what is neither text nor a BLOB has none.
func (o *octets) Scan(from any) error {
	if from == nil {
		*o = nil
		return nil
	}
	if *o == nil {
		*o = octets{}
	}
	switch from := from.(type) {
	case []byte:
		*o = append((*o)[:0], from...)
	case string:
		*o = append((*o)[:0], from...)
	default:
		*o = (*o)[:0]
	}
	return nil
}
