"""What is told of a vendor's words."""

from landbridge.remote.api_failures import not_understood, told


def test_secrets_and_personal_data_do_not_show_up_and_the_rest_is_one_line():
    text = 'the key hunter2\n of  ada@example.com is "Ada"\tin row 1234567, not 12345'
    assert told(text, ["hunter2"]) == "the key ******** of … is … in row …, not 12345"


def test_a_vendor_may_quote_in_a_way_of_its_own():
    assert told("|Ada| is gone") == "|Ada| is gone"
    assert told("|Ada| is gone", personal=r"\|[^|]*\|") == "… is gone"


def test_long_words_are_cut_off():
    assert told("x " * 500, max_chars=7) == "x x x x"


def test_an_answer_that_is_none_names_what_to_check():
    error = not_understood("api.example.com", "login", check="url and podNumber")
    assert (error.code, error.hint) == ("LB-2107", "Check url and podNumber, and whether a proxy stands in between.")
