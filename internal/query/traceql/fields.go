package traceql

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/store"
)

// fieldType is what is known of the values of a store's field.
type fieldType uint8

const (
	anyType  fieldType = iota
	textType           // texts alone
	intType            // integers alone, as the store knows
	boolType
)

// source is a store's field that an attribute is read from.
type source struct {
	field string
	typ   fieldType
	// always says that the value is never nil: it is the empty text when the row has none.
	always bool
	// read makes a value of the field's.
	read func(store.Value) Value
}

// costAttribute is the cost of a span in dollars: two columns of the store hold it.
const costAttribute = columnPrefix + "cost_usd"

// columnPrefix stands before the names of canonical columns, as in pdata.
const columnPrefix = "mindscope."

// sources returns the fields of a span's row that an attribute is read from, the first that is there; nil for what is not
// read from fields alone.
func sources(a Attribute) []source {
	if a.Parent {
		return nil
	}
	if a.Intrinsic != NoIntrinsic {
		return intrinsicSources(a.Intrinsic)
	}
	span := source{field: store.PrefixAttr + a.Name, read: fromStore}
	if column, ok := strings.CutPrefix(a.Name, columnPrefix); ok && store.IsColumn(column) {
		span = source{field: column, typ: columnType(column), read: fromStore}
		if span.typ == textType {
			span.read = plainText
		}
	}
	resource := source{field: store.PrefixResource + a.Name, read: fromStore}
	if a.Name == conv.ServiceName {
		resource = source{field: store.FieldService, typ: textType, read: plainText}
	}
	switch a.Scope {
	case ScopeNone:
		if a.Name == costAttribute {
			return nil
		}
		return []source{span, resource}
	case ScopeSpan:
		if a.Name == costAttribute {
			return nil
		}
		return []source{span}
	case ScopeResource:
		return []source{resource}
	case ScopeInstrumentation:
		return []source{{field: store.PrefixScopeAttr + a.Name, read: fromStore}}
	default:
		return nil
	}
}

func columnType(column string) fieldType {
	switch column {
	case store.FieldTokensInput, store.FieldTokensCacheRead, store.FieldTokensCacheWrite5m, store.FieldTokensCacheWrite1h,
		store.FieldTokensOutput, store.FieldTokensReasoning, store.FieldCostMicro, store.FieldCostRest:
		return intType
	case store.FieldTaskProvisional, store.FieldTaskInherited:
		return boolType
	case store.FieldQuality:
		return anyType
	default:
		return textType
	}
}

func intrinsicSources(i Intrinsic) []source {
	text := func(field string) []source { return []source{{field: field, typ: textType, read: plainText}} }
	always := func(field string, read func(store.Value) Value) []source {
		return []source{{field: field, typ: textType, always: true, read: read}}
	}
	switch i {
	case IntrinsicDuration:
		return []source{{field: store.FieldDuration, typ: intType, always: true, read: durationFrom}}
	case IntrinsicName:
		return always(store.FieldName, textFrom)
	case IntrinsicStatusMessage:
		return always(store.FieldStatusMessage, textFrom)
	case IntrinsicStatus:
		return always(store.FieldStatus, func(v store.Value) Value { return statusValue(keyword(v.Text())) })
	case IntrinsicKind:
		return always(store.FieldSpanKind, func(v store.Value) Value { return kindValue(keyword(v.Text())) })
	case IntrinsicParentID:
		return text(store.FieldParentSpanID)
	case IntrinsicSpanID:
		return text(store.FieldSpanID)
	case IntrinsicTraceID:
		return text(store.FieldTraceID)
	case IntrinsicScopeName:
		return text(store.FieldScopeName)
	case IntrinsicScopeVersion:
		return text(store.FieldScopeVersion)
	default:
		return nil
	}
}

// keyword returns the constant for the usual words, so that they take no memory of their own.
func keyword(word string) string {
	if v, ok := wordValue(word); ok {
		return v.text
	}
	return strings.Clone(word)
}

func durationFrom(v store.Value) Value { return Value{typ: TypeDuration, bits: uint64(v.Int())} }

func textFrom(v store.Value) Value { return String(v.Text()) }

// plainText reads a field that only holds texts.
func plainText(v store.Value) Value {
	text := v.Text()
	if text == "" {
		return Value{}
	}
	return String(text)
}

// fromStore makes a value of a field's. An empty text counts as absent: the store does not tell them apart when it
// filters. A list of one text counts as that text; other lists and maps are their JSON.
func fromStore(v store.Value) Value {
	switch v.Type() {
	case store.TypeEmpty:
		return Value{}
	case store.TypeBool:
		return Bool(v.Bool())
	case store.TypeInt:
		return Int(v.Int())
	case store.TypeDouble:
		f, _ := v.Number()
		return Float(f)
	default:
		return textValue(v.Text())
	}
}

func textValue(text string) Value {
	if text == "" {
		return Value{}
	}
	if one, ok := onlyText(text); ok {
		return String(one)
	}
	return String(text)
}

// onlyText returns the text of a list that holds one text and nothing else.
func onlyText(js string) (string, bool) {
	if !strings.HasPrefix(js, `["`) || !strings.HasSuffix(js, `"]`) {
		return "", false
	}
	v := pcommon.NewValueEmpty()
	if err := store.DecodeAny(js, v); err != nil || v.Type() != pcommon.ValueTypeSlice || v.Slice().Len() != 1 {
		return "", false
	}
	one := v.Slice().At(0)
	if one.Type() != pcommon.ValueTypeStr || one.Str() == "" || listOf(one.Str()) != js {
		return "", false
	}
	return one.Str(), true
}

// listOf is the store's text of a list of one text.
func listOf(text string) string {
	v := pcommon.NewValueSlice()
	v.Slice().AppendEmpty().SetStr(text)
	return store.EncodeAny(v)
}
