"""JSON schemas of the demo's two bodies: their shape. What they mean is the handlers' to check."""

from aws_cdk.aws_apigateway import JsonSchema, JsonSchemaType

_ID = JsonSchema(type=JsonSchemaType.STRING, pattern="^[A-Za-z0-9_-]{1,64}$")
_TEXT = JsonSchema(type=JsonSchemaType.STRING, min_length=1, max_length=128)
_AMOUNT = JsonSchema(type=JsonSchemaType.STRING, pattern="^[0-9]{1,12}([.][0-9]{1,4})?$")
_QUANTITY = JsonSchema(type=JsonSchemaType.INTEGER, minimum=1, maximum=999)

_LINE = JsonSchema(
    type=JsonSchemaType.OBJECT,
    additional_properties=False,
    required=["sku", "name", "quantity", "unit_price"],
    properties={"sku": _ID, "name": _TEXT, "quantity": _QUANTITY, "unit_price": _AMOUNT},
)
ORDER = JsonSchema(
    title="Order",
    type=JsonSchemaType.OBJECT,
    additional_properties=False,
    required=["order_id", "customer_id", "currency", "lines", "total"],
    properties={
        "order_id": _ID,
        "customer_id": _ID,
        "currency": JsonSchema(type=JsonSchemaType.STRING, pattern="^[A-Z]{3}$"),
        "lines": JsonSchema(type=JsonSchemaType.ARRAY, items=_LINE, min_items=1, max_items=100),
        "total": _AMOUNT,
    },
)
# Each kind has further fields; the consumer knows which.
ORDER_CHANGE = JsonSchema(
    title="OrderChange",
    type=JsonSchemaType.OBJECT,
    required=["order_id", "change_id", "kind"],
    properties={"order_id": _ID, "change_id": _ID, "kind": _ID},
)
