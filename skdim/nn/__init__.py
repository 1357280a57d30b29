"""Networks: encoders, critics and the objectives over them."""
