// Package absent tells whether a value of an interface is one.
package absent

import "reflect"

// Is tells whether there is nothing to call a method of: value is nil, or a nil pointer (or function, map, ...) in an interface that is not nil itself.
func Is(value any) bool {
	if value == nil {
		return true
	}
	switch held := reflect.ValueOf(value); held.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.UnsafePointer:
		return held.IsNil()
	default:
		return false
	}
}
